// Language and theme: chosen by hand, remembered, else as the system says.

import { byId } from "./dom.js";
import { recall, remember } from "./memory.js";
import { currentLanguage, say, speak } from "./strings.js";

const DARK = window.matchMedia("(prefers-color-scheme: dark)");

// Sets every text that stands in the document itself.
function wordDocument() {
  document.documentElement.lang = currentLanguage() === "zh" ? "zh-Hans" : "en";
  for (const node of document.querySelectorAll("[data-say]")) {
    node.textContent = say(node.dataset.say);
  }
  for (const name of ["aria-label", "placeholder", "title"]) {
    for (const node of document.querySelectorAll(`[data-say-${name}]`)) {
      node.setAttribute(name, say(node.getAttribute(`data-say-${name}`)));
    }
  }
}

function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : DARK.matches;
}

// `onLanguage` redraws what scripts have drawn.
export function switches(onLanguage) {
  const [theme, language] = [byId("theme"), byId("language")];

  function show() {
    wordDocument();
    theme.textContent = say(isDark() ? "toLight" : "toDark");
    language.textContent = say("otherLanguage");
    language.lang = currentLanguage() === "zh" ? "en" : "zh-Hans";
  }

  theme.addEventListener("click", () => {
    const wanted = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = wanted;
    remember("theme", wanted);
    show();
  });
  language.addEventListener("click", () => {
    speak(currentLanguage() === "zh" ? "en" : "zh");
    remember("language", currentLanguage());
    show();
    onLanguage();
  });
  DARK.addEventListener("change", show);

  const given = recall("theme");
  if (given) document.documentElement.dataset.theme = given;
  const chosen = recall("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");
  speak(chosen);
  show();
}
