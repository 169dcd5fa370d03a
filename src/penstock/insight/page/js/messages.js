// Errors and waiting, told in the place they concern.

import { rememberKey } from "./api_key.js";
import { fill, make } from "./dom.js";
import { hasString, say } from "./strings.js";

// What went wrong and what to do. The server's own words are in English and say what it found in
// the request; they are added where no sentence of ours says it all.
function explained(error) {
  const keys = [`error_${error.code}`, `error_http_${error.status}`];
  const key = keys.find((name) => hasString(name)) ?? "error_other";
  const isAdded = ["error_http_400", "error_other", "error_worker"].includes(key);
  const own = isAdded ? ` ${error.message}` : "";
  return say(key, { status: error.status || "?" }) + own;
}

export function showError(place, error, onRetry) {
  const wait = error.retryAfter ? ` ${say("retryAfter", { seconds: error.retryAfter })}` : "";
  fill(
    place,
    make(
      "div",
      { class: "trouble" },
      make("strong", {}, say("trouble")),
      make("span", {}, explained(error) + wait),
      error.status === 403 && onRetry ? keyForm(onRetry) : null,
      onRetry && error.status !== 403 ? make("button", { type: "button", click: onRetry }, say("tryAgain")) : null,
    ),
  );
}

function keyForm(onRetry) {
  const field = make("input", { type: "password", autocomplete: "off" });
  const submit = (event) => {
    event.preventDefault();
    rememberKey(field.value.trim());
    onRetry();
  };
  const label = make("label", {}, say("apiKey"), " ", field);
  return make("form", { submit }, label, " ", make("button", {}, say("tryAgain")));
}

export function showNote(place, text) {
  fill(place, text ? make("p", { class: "note" }, text) : null);
}
