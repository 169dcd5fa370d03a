// The search as it grew, step by step, and the exact optimum beside it.

import { asText, draw, fill, make, table } from "./dom.js";
import { joinedPieces, number, percentOfLog, quoted, shownPiece } from "./pieces.js";
import { say } from "./strings.js";
import { nodeMark, treeDrawing } from "./tree_drawing.js";
import { byStep, isPruned, pathTo } from "./tree_layout.js";

const [NARROW, WIDE] = [92, 124]; // px of a column
const WINDOW = 80; // columns drawn at once: a long text has hundreds

// `onExact` asks for the exact optimum; null where no server is there to find it.
export function treeView(place, { onExact }) {
  let shown = null;
  let step = 0;

  function show(inspection) {
    const steps = byStep(inspection.tree);
    const last = steps.length - 1;
    const before = shown?.inspection;
    const stays = before && String(before.target_tokens) === String(inspection.target_tokens);
    const moved = Boolean(stays && step < last);
    if (!moved) step = last;
    const best = bestPath(inspection);
    const readout = make("p", { class: "readout", "aria-live": "polite" });
    const stage = make("div", {
      class: "scroll stage",
      tabindex: 0,
      role: "group",
      "aria-label": say("treeStage"),
      keydown: (event) => steer(event),
    });
    const buttons = stepButtons((where) => move(where));
    shown = { inspection, steps, last, best, stage, readout, buttons };
    fill(
      place,
      certificate(inspection, onExact),
      make("div", { class: "toolbar" }, make("div", { class: "stepper" }, buttons.all), legend(inspection)),
      stage,
      readout,
      asText(say("stepAsTable"), () => make("div", { class: "step-table" })),
    );
    place.querySelector(".as-text").addEventListener("toggle", tell);
    drawStep(moved);
  }

  function drawStep(moved = true) {
    const { steps, best, stage, inspection, last, buttons } = shown;
    const first = Math.max(0, step - WINDOW + 1);
    const mark = (node) => markNode(inspection.tree, node, shown.readout, stage);
    const fitting = Math.floor((stage.clientWidth - 28) / (step - first + 1));
    const column = Math.min(Math.max(fitting, NARROW), WIDE);
    const view = { first, current: step, best, pruned: moved, column };
    fill(stage, treeDrawing(steps, view, mark));
    // at first the whole tree, from its start; then what one steps to, with what fell out there
    stage.scrollLeft = moved ? stage.scrollWidth : 0;
    buttons.back.disabled = buttons.start.disabled = step === 0;
    buttons.on.disabled = buttons.end.disabled = step === last;
    fill(buttons.where, say("stepOf", { step, last }));
    tell();
  }

  function tell() {
    const { steps, readout } = shown;
    fill(readout, `${say("stepNumber", { step })}. ${stepInWords(steps[step])}`);
    const body = place.querySelector(".as-text[open] .scroll");
    if (body) fill(body, stepTable(shown.inspection, steps[step], step));
  }

  function move(where) {
    const wanted = { start: 0, back: step - 1, on: step + 1, end: shown.last }[where];
    step = Math.min(Math.max(wanted, 0), shown.last);
    drawStep();
  }

  function steer(event) {
    const keys = { ArrowLeft: "back", ArrowRight: "on", Home: "start", End: "end" };
    if (event.key in keys) move(keys[event.key]);
    else if (event.key === "ArrowUp") walk(-1);
    else if (event.key === "ArrowDown") walk(1);
    else return;
    event.preventDefault();
  }

  function walk(way) {
    const nodes = shown.steps[step];
    const marked = shown.stage.querySelector(".node.marked")?.dataset.id;
    const at = nodes.findIndex((node) => String(node.id) === marked);
    const next = nodes[Math.min(Math.max(at + way, 0), nodes.length - 1)];
    markNode(shown.inspection.tree, next, shown.readout, shown.stage);
  }

  return { show };
}

function bestPath(inspection) {
  const end = inspection.tree.nodes.find((node) => node.state === "best");
  return new Set(pathTo(inspection.tree, end.id).map((node) => node.id));
}

function stepInWords(nodes) {
  const listed = (states) => nodes.filter((node) => states.includes(node.state));
  const told = (key, list) =>
    list.length ? [say(key, { list: list.map(nodeInWords).join(say("comma")) })] : [];
  return [
    ...told("stepKept", listed(["kept"])),
    ...told("stepFinished", listed(["finished", "best"])),
    say("stepPruned", { count: nodes.filter(isPruned).length }),
  ].join(" ");
}

function nodeInWords(node) {
  const token = node.parent === null ? shownPiece("<s>") : quoted(node.token);
  return `${token} ${percentOfLog(node.log_probability)}`;
}

function markNode(tree, node, readout, stage) {
  const path = pathTo(tree, node.id);
  const ids = new Set(path.map((one) => String(one.id)));
  for (const one of stage.querySelectorAll(".node")) {
    one.classList.toggle("marked", one.dataset.id === String(node.id));
    one.classList.toggle("on-path", ids.has(one.dataset.id));
  }
  const text = joinedPieces(path.map((one) => one.token).reverse());
  const values = {
    text,
    token: quoted(node.token),
    share: percentOfLog(node.log_probability),
    total: percentOfLog(node.total),
    state: say(`state_${node.state}`),
  };
  const scored = node.score === null ? "" : ` ${say("scoreOf", { score: number(node.score, 3) })}`;
  fill(readout, say("nodeTold", values) + scored);
}

function stepTable(inspection, nodes, step) {
  const { tree } = inspection;
  const heads = ["hypothesis", "probability", "wholeProbability", "state"].map((key) => say(key));
  const rows = nodes.map((node) => [
    joinedPieces(pathTo(tree, node.id).map((one) => one.token).reverse()) || shownPiece(node.token),
    percentOfLog(node.log_probability),
    percentOfLog(node.total),
    say(`state_${node.state}`) + (node.exact ? say("comma") + exactName(inspection) : ""),
  ]);
  return table(say("stepNumber", { step }), heads, rows);
}

function stepButtons(move) {
  const button = (where, sign) =>
    make(
      "button",
      { type: "button", class: "step", "aria-label": say(`step_${where}`), click: () => move(where) },
      sign,
    );
  const [start, back] = [button("start", "⇤"), button("back", "←")];
  const [on, end] = [button("on", "→"), button("end", "⇥")];
  const where = make("span", { class: "where" });
  return { start, back, on, end, where, all: [start, back, where, on, end] };
}

function legend(inspection) {
  const kinds = ["kept", "best", "finished", "pruned"];
  if (inspection.exact) kinds.push("unseen", "exact");
  return make(
    "ul",
    { class: "legend" },
    kinds.map((kind) =>
      make(
        "li",
        {},
        draw(
          "svg",
          { width: 20, height: 20, viewBox: "-10 -10 20 20", "aria-hidden": "true", class: "tree" },
          draw(
            "g",
            { class: `node ${kind}` },
            kind === "exact" ? draw("path", { class: "exact-mark", d: "M0 -9L9 0L0 9L-9 0Z" }) : null,
            kind === "exact" ? null : nodeMark(kind),
          ),
        ),
        kind === "exact" ? exactName(inspection) : say(`state_${kind}`),
      ),
    ),
  );
}

function exactName(inspection) {
  return say(inspection.exact?.certified ? "state_exact" : "state_found");
}

function certificate(inspection, onExact) {
  const exact = inspection.exact;
  if (!exact) {
    if (!onExact) return null;
    const button = make("button", { type: "button", click: onExact }, say("findExact"));
    return make("p", { class: "certificate" }, button, " ", make("span", {}, say("exactMeans")));
  }
  const same = exact.text === inspection.text;
  const values = {
    text: exact.text || say("nothing"),
    score: number(exact.score, 3),
    bound: number(exact.bound, 3),
    extended: number(exact.extended, 0),
    own: number(inspection.score, 3),
  };
  const verdictKey = exact.certified ? (same ? "exactSame" : "exactMissed") : "exactOpen";
  return make(
    "p",
    { class: `certificate ${exact.certified ? "certified" : "open"}` },
    make("strong", {}, say(exact.certified ? "certified" : "notCertified")),
    " ",
    make("span", { dir: "auto" }, say(verdictKey, values)),
  );
}
