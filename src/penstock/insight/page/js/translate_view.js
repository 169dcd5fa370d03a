// Type, and read the translation as you pause.

import { addressOf, readAddress, writeAddress } from "./address.js";
import { bar, byId, fill, make } from "./dom.js";
import { languageFields } from "./language_fields.js";
import { showError } from "./messages.js";
import { number, percentOfLog } from "./pieces.js";
import { ask } from "./service.js";
import { ServiceError } from "./service_error.js";
import { say, sample } from "./strings.js";

// ms without a key before we ask while a request is under way, so that a quick typist does not fill
// the server's queue; when none is, we ask at once
const PAUSE = 60;
const SLOW = 700; // ms until we say that the server is slow

const SHOWN = 4; // translations: the best and what else was considered

// `onTranslated(translation)` is told of each new answer, with null when there is no text;
// `onTyped()` of each key, `onFailed()` of an answer that did not come.
export function translateView({ onTranslated, onTyped, onFailed }) {
  const field = byId("text");
  const output = byId("output");
  const told = byId("told");
  const trouble = byId("translate-trouble");
  const others = byId("alternatives");
  const counter = byId("counter");
  let limit = 5000;
  let examples = null;
  let answer = null;
  let flight = null;
  let pause = 0;
  let slow = 0;
  const languages = languageFields(() => begin(0));

  function typed() {
    languages.guess(null);
    onTyped();
    begin(flight ? PAUSE : 0);
  }

  function begin(delay) {
    window.clearTimeout(pause);
    count();
    pause = window.setTimeout(translate, delay);
  }

  function count() {
    const length = [...field.value].length;
    counter.textContent = say("characters", { count: number(length, 0), limit: number(limit, 0) });
    counter.classList.toggle("over", length > limit);
  }

  async function translate() {
    flight?.abort();
    const text = field.value;
    const { source, target } = languages.chosen();
    writeAddress(source, target, text);
    if (text.trim() === "") return settle(null);
    if ([...text].length > limit) return fail(new ServiceError("too_long", ""));
    const controller = new AbortController();
    flight = controller;
    output.setAttribute("aria-busy", "true");
    window.clearTimeout(slow);
    slow = window.setTimeout(() => tell(say("slow")), SLOW);
    try {
      const body = { texts: text, source, target, n_best: Math.min(SHOWN, languages.beam()) };
      const { translations } = await ask("/v1/translate", { body, signal: controller.signal });
      if (flight === controller) settle({ ...translations[0], asked: { source, target, text } });
    } catch (error) {
      if (flight === controller) fail(error);
    }
  }

  function settle(translation) {
    finish();
    answer = translation;
    fill(trouble);
    show();
    onTranslated(translation);
  }

  function finish() {
    flight = null;
    window.clearTimeout(slow);
    output.removeAttribute("aria-busy");
  }

  function fail(error) {
    finish();
    output.setAttribute("aria-busy", "true"); // what stands there is older than the text
    tell("");
    onFailed();
    showError(trouble, error, error.code === "too_long" ? null : () => begin(0));
  }

  function tell(text) {
    fill(told, text);
  }

  function show() {
    count();
    fill(output, answer ? answer.text : make("span", { class: "ghost" }, say("outputEmpty")));
    byId("copy").disabled = !answer?.text;
    byId("link").disabled = !field.value;
    fill(told, answer ? verdict(answer) : "");
    languages.guess(answer?.asked.source === "auto" ? answer.source_language : null);
    output.lang = answer?.target_language ?? "";
    fill(others, answer ? alternatives(answer) : null);
  }

  async function copy(text, button, key) {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = say("copied");
    } catch {
      button.textContent = say("copyFailed");
    }
    window.setTimeout(() => (button.textContent = say(key)), 1600);
  }

  field.addEventListener("input", typed);
  byId("clear").addEventListener("click", () => {
    field.value = "";
    begin(0);
    field.focus();
  });
  byId("example").addEventListener("click", () => {
    field.value = sample(languages.chosen().source, field.value, examples);
    begin(0);
  });
  byId("copy").addEventListener("click", (event) => copy(answer.text, event.target, "copy"));
  byId("link").addEventListener("click", (event) => {
    const { source, target } = languages.chosen();
    copy(addressOf(source, target, field.value), event.target, "link");
  });
  window.addEventListener("hashchange", () => restore(readAddress()));
  window.addEventListener("online", () => begin(0));

  function restore(given) {
    if (!given) return;
    languages.choose(given.source, given.target);
    field.value = given.text;
    begin(0);
  }

  return {
    open(models) {
      limit = models.max_characters ?? limit;
      languages.offer(models.pairs);
      examples = models.pairs[0]?.examples ?? null;
      const given = readAddress();
      if (given) return restore(given);
      // what was typed while the models were being asked for stays
      if (field.value === "") field.value = sample(models.pairs[0]?.source, "", examples);
      begin(0);
    },
    redraw() {
      languages.redraw();
      show();
    },
  };
}

function verdict(answer) {
  const kind = answer.status === "ok" || answer.status === "empty" ? "fine" : "warn";
  return [
    make("span", { class: `badge ${kind}` }, say(`status_${answer.status}`)),
    " ",
    make("span", {}, say(`statusMeans_${answer.status}`)),
    answer.status === "empty"
      ? null
      : [" ", make("span", { class: "quiet" }, say("scoreOf", { score: number(answer.score) }))],
    typeof answer.confidence !== "number"
      ? null
      : [" ", make("span", { class: "quiet" },
        say("confidenceOf", { percent: number(100 * answer.confidence, 0) }))],
  ].filter((part) => part !== null);
}

function alternatives(answer) {
  if (!answer.alternatives?.length) return null;
  const best = answer.log_probability;
  const most = Math.max(best, ...answer.alternatives.map((other) => other.log_probability));
  return [
    make(
      "div",
      { class: "ranked-head" },
      make("h2", { class: "small" }, say("alternatives")),
      make("span", { class: "figures", "aria-hidden": "true" },
        make("span", {}, say("probability")), make("span", {}, say("score"))),
    ),
    make(
      "ol",
      { class: "ranked" },
      [answer, ...answer.alternatives].map((other, index) =>
        make(
          "li",
          { class: index === 0 ? "chosen" : null },
          make("span", { dir: "auto", class: "words", lang: answer.target_language }, other.text),
          make("span", { class: "figures" }, bar(Math.exp(other.log_probability - most)),
            make("span", {}, percentOfLog(other.log_probability)),
            make("span", {}, number(other.score))),
        ),
      ),
    ),
    make("p", { class: "quiet" }, say("alternativesMean")),
  ];
}
