// What each layer keeps and forgets, token by token.

import { asText, fill, make, radios, table } from "./dom.js";
import { gateStrips } from "./gate_strips.js";
import { number, quoted, shownPiece } from "./pieces.js";
import { say } from "./strings.js";
import { unitMap } from "./unit_map.js";

// `onUnits` asks for the single units; null where no server is there to give them.
export function gatesView(place, { onUnits }) {
  let side = "encoder";
  let unit = null;

  function show(inspection) {
    const sides = [...new Set(inspection.gates.map((block) => block.side))];
    if (sides.length === 0) return fill(place, make("p", {}, say("noGates")));
    if (!sides.includes(side)) side = sides[0];
    const blocks = inspection.gates.filter((block) => block.side === side);
    const most = Math.max(...blocks.map((block) => block.size));
    const hasUnits = blocks.some((block) => Object.values(block.values).some((gate) => gate.units));
    if (!hasUnits || unit > most) unit = null;
    const again = (change, focus) => {
      change();
      show(inspection);
      place.querySelector(focus)?.focus();
    };
    const chooseSide = (value) => again(() => (side = value), "input:checked");
    const chooseUnit = (value) => again(() => (unit = value), ".unit-number");
    const sideNames = sides.map((name) => [name, say(`side_${name}`)]);
    fill(
      place,
      make(
        "div",
        { class: "toolbar" },
        sides.length > 1 ? radios(say("sides"), sideNames, side, chooseSide) : null,
        hasUnits ? unitField(unit, most, chooseUnit) : unitButton(onUnits),
      ),
      make("p", { class: "reading" }, whatGuards(blocks[0])),
      make(
        "div",
        { class: "gate-blocks" },
        blocks.map((block) => blockFigure(block, unit, chooseUnit)),
      ),
    );
  }

  return { show };
}

function unitButton(onUnits) {
  return onUnits ? make("button", { type: "button", click: onUnits }, say("showUnits")) : null;
}

function unitField(unit, most, choose) {
  const input = make("input", {
    type: "number",
    class: "unit-number",
    min: 1,
    max: most,
    value: unit,
    placeholder: say("meanShort"),
    change: (event) => {
      const wanted = Number.parseInt(event.target.value, 10);
      choose(Number.isFinite(wanted) ? Math.min(Math.max(wanted, 1), most) : null);
    },
  });
  const mean = make(
    "button",
    { type: "button", disabled: unit === null, click: () => choose(null) },
    say("meanOfUnits"),
  );
  return make("label", { class: "unit" }, say("unitNumber", { most: number(most, 0) }), input, mean);
}

function blockFigure(block, unit, chooseUnit) {
  const values = {};
  for (const [gate, given] of Object.entries(block.values)) {
    const units = given.units;
    values[gate] =
      unit !== null && units?.[0]?.[unit - 1] !== undefined
        ? units.map((row) => row[unit - 1] / 100)
        : given.mean;
  }
  const title = say("blockTitle", {
    layer: block.layer,
    direction: block.side === "encoder" ? say(`direction_${block.direction}`) : "",
    cell: block.cell.toUpperCase(),
    size: number(block.size, 0),
  });
  const shown = unit === null ? say("meanOfAll") : say("unitOnly", { unit });
  return make(
    "section",
    { class: "gate-block" },
    make("h3", {}, title, " ", make("span", { class: "quiet" }, shown)),
    make("p", { class: "reading" }, keepsAndForgets(block, values)),
    make(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": title },
      gateStrips(block, values, title, memoryGate(block)),
    ),
    block.values[memoryGate(block)]?.units ? unitPanel(block, unit, chooseUnit) : null,
    asText(say("asTable"), () => gateTable(block, values, title)),
  );
}

// For each cell the signal that shows what is kept, and how it is explained.
const MEMORY = {
  rnn: ["hidden", "ungated"],
  gru: ["update", "keeping"],
  lstm: ["forget", "forgetting"],
  sru: ["forget", "forgetting"],
  ssru: ["forget", "forgetting"],
  mingru: ["update", "renewing"],
  minlstm: ["forget", "sharing"],
};

function memoryGate(block) {
  return MEMORY[block.cell]?.[0] ?? "hidden";
}

function whatGuards(block) {
  const meaning = MEMORY[block.cell]?.[1];
  return meaning ? say(`gateMeans_${meaning}`) : "";
}

// One plain sentence: where the gate that holds the memory is lowest and where it is highest.
function keepsAndForgets(block, values) {
  const gate = memoryGate(block);
  const row = values[gate];
  if (gate === "hidden" || !row?.length) return "";
  const [low, high] = [row.indexOf(Math.min(...row)), row.indexOf(Math.max(...row))];
  return say(`gateHere_${MEMORY[block.cell][1]}`, {
    low: quoted(block.tokens[low]),
    lowValue: number(row[low]),
    high: quoted(block.tokens[high]),
    highValue: number(row[high]),
  });
}

function gateTable(block, values, title) {
  const gates = Object.keys(values);
  const rows = block.tokens.map((token, index) => [
    shownPiece(token),
    ...gates.map((gate) => number(values[gate][index])),
  ]);
  return table(title, [say("piece"), ...gates.map((gate) => say(`gate_${gate}`))], rows);
}

function unitPanel(block, unit, chooseUnit) {
  const map = make("div", {
    class: "scroll units",
    tabindex: 0,
    role: "region",
    "aria-label": say("unitMapName"),
  });
  const details = make("details", { class: "as-text" }, make("summary", {}, say("allUnits")), map);
  details.addEventListener("toggle", () => {
    if (details.open && !map.hasChildNodes()) {
      fill(map, unitMap(block, memoryGate(block), unit, chooseUnit));
    }
  });
  return details;
}
