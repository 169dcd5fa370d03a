// The four figures that show one inspection, and what stands there while there is none.

import { attentionView } from "./attention_view.js";
import { byId, fill } from "./dom.js";
import { gatesView } from "./gates_view.js";
import { showError, showNote } from "./messages.js";
import { say } from "./strings.js";
import { treeView } from "./tree_view.js";
import { whatIfView } from "./what_if_view.js";

const FIGURES = ["attention", "tree", "gates", "what-if"];

// `wishes`: {onExact, onUnits, onForce}, each null where no server can fulfil it.
export function figures(wishes) {
  const place = (name) => byId(`${name}-figure`);
  const views = {
    attention: attentionView(place("attention")),
    tree: treeView(place("tree"), wishes),
    gates: gatesView(place("gates"), wishes),
    "what-if": whatIfView(place("what-if"), wishes),
  };

  // `state` as an inspector has it; `onRetry` asks again.
  function show(state, onRetry) {
    const held = FIGURES.find((name) => place(name).contains(document.activeElement));
    for (const name of FIGURES) {
      const note = byId(`${name}-note`);
      place(name).setAttribute("aria-busy", String(state.phase === "wait"));
      place(name).classList.toggle("old", state.phase === "wait" || state.phase === "fail");
      if (state.phase === "none" || state.phase === "long") {
        showNote(note, say(state.phase === "none" ? "figureNone" : "figureLong"));
        fill(place(name));
      } else if (state.phase === "wait") {
        showNote(note, state.inspection ? "" : say("figureWait"));
      } else if (state.phase === "fail") {
        showError(note, state.error, onRetry);
      } else {
        showNote(note, "");
        views[name].show(state.inspection, state.own);
      }
    }
    // what had the focus may have been drawn anew: the keyboard stays where it was
    if (held && !place(held).contains(document.activeElement)) place(held).focus();
    const forced = state.inspection?.prefix.length ? state.inspection.text : "";
    fill(byId("forced"), forced ? say("figuresForced", { text: forced }) : "");
  }

  return { show };
}
