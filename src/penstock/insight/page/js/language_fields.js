// From which language and into which: what the server's models offer.

import { byId, fill, make } from "./dom.js";
import { currentLanguage, say } from "./strings.js";

function languageName(code) {
  if (code === "any") return say("anyLanguage"); // of a model that names no language
  try {
    return new Intl.DisplayNames([currentLanguage()], { type: "language" }).of(code);
  } catch {
    return code;
  }
}

export function languageFields(onChange) {
  const from = byId("from");
  const into = byId("into");
  let pairs = [];
  let guessed = null;

  function targetsOf(source) {
    const fitting = pairs.filter((pair) => source === "auto" || pair.source === source);
    return [...new Set(fitting.map((pair) => pair.target))];
  }

  function fits(pair) {
    const { value } = from;
    return (value === "auto" || pair.source === value) && pair.target === into.value;
  }

  function options(select, codes, wanted) {
    fill(select, codes.map((code) => make("option", { value: code }, labelOf(code))));
    select.value = codes.includes(wanted) ? wanted : (codes[0] ?? "");
  }

  function labelOf(code) {
    if (code !== "auto") return languageName(code);
    return guessed ? say("detected", { language: languageName(guessed) }) : say("detect");
  }

  function redraw(source = from.value, target = into.value) {
    const sources = [...new Set(pairs.map((pair) => pair.source))];
    options(from, sources.length > 1 ? ["auto", ...sources] : [...sources, "auto"], source);
    options(into, targetsOf(from.value), target);
    for (const select of [from, into]) select.disabled = pairs.length === 0;
  }

  from.addEventListener("change", () => {
    redraw();
    onChange();
  });
  into.addEventListener("change", onChange);

  return {
    offer(served) {
      pairs = served;
      redraw();
    },
    choose: (source, target) => redraw(source, target),
    // How many translations a search gives at the least, whichever of the pairs it will be.
    beam: () => Math.min(...pairs.filter(fits).map((pair) => pair.beam_size)),
    chosen: () => ({ source: from.value || "auto", target: into.value || null }),
    // The language that the server detected, shown in the choice `auto`.
    guess(code) {
      if (code === guessed) return;
      guessed = code;
      const option = [...from.options].find((one) => one.value === "auto");
      if (option) option.textContent = labelOf("auto");
    },
    redraw: () => redraw(),
  };
}
