// Which sentence is looked into, with which forced prefix, and what came of it.

import { ask } from "./service.js";

const REST = 700; // ms after a translation: looking inside must not delay the next key

// `onChange(state)` gets {phase: "none"|"long"|"wait"|"fail"|"ready", inspection, error, own}.
export function inspector(onChange) {
  const asked = { text: "", source: null, target: null, prefix: [], exact: false, units: false };
  const state = { phase: "none", inspection: null, error: null, own: null };
  let flight = null;
  let timer = 0;

  function change(values) {
    Object.assign(state, values);
    onChange(state);
  }

  async function look() {
    flight?.abort();
    const controller = new AbortController();
    flight = controller;
    change({ phase: "wait", error: null });
    try {
      const inspection = await ask("/v1/inspect", { body: asked, signal: controller.signal });
      if (flight !== controller) return;
      flight = null;
      const own = asked.prefix.length ? state.own : inspection;
      change({ phase: "ready", inspection, own });
    } catch (error) {
      if (flight !== controller) return;
      flight = null;
      change({ phase: "fail", error });
    }
  }

  return {
    state,
    // A new translation: look at it once the typing has come to rest.
    consider(translation) {
      window.clearTimeout(timer);
      flight?.abort();
      flight = null;
      if (!translation || translation.status === "empty") {
        asked.text = "";
        change({ phase: "none", inspection: null, own: null, error: null });
        return;
      }
      const { source_language: source, target_language: target } = translation;
      const text = firstLine(translation.asked.text);
      Object.assign(asked, { text, source, target, prefix: [], exact: false, units: false });
      if (translation.status === "split" && text === translation.asked.text.trim()) {
        asked.text = "";
        change({ phase: "long", inspection: null, own: null, error: null });
        return;
      }
      change({ phase: "wait", error: null });
      timer = window.setTimeout(look, REST);
    },
    // The text is being changed: what has not been asked yet need not be.
    hold() {
      window.clearTimeout(timer);
      flight?.abort();
      flight = null;
    },
    // No translation came: what was looked at before stays.
    rest() {
      if (state.phase === "wait") change({ phase: state.inspection ? "ready" : "none" });
    },
    want(values) {
      if (!asked.text) return;
      if (values.prefix) asked.exact = false;
      Object.assign(asked, values);
      look();
    },
    again: look,
    prefix: () => asked.prefix,
  };
}

// An inspection shows one sentence: of several lines the first that is not blank.
function firstLine(text) {
  return text.split("\n").find((line) => line.trim() !== "").trim();
}
