// The gates of one layer as strips: a row for each gate, a column for each token.

import { draw, drawing } from "./dom.js";
import { headRoom, slantedNames } from "./slanted_names.js";
import { say } from "./strings.js";

const STEP = 36;
const STRIP = 26;
const NAME = 86;
const ORDER = ["reset", "update", "input", "forget", "output", "candidate", "cell", "hidden"];

// `values`: for each gate a number in -1…1 a token. `memory`: the gate that decides what is kept.
export function gateStrips(block, values, title, memory) {
  const gates = ORDER.filter((gate) => values[gate]?.length);
  const head = headRoom(block.tokens);
  const width = NAME + block.tokens.length * STEP + 40;
  const height = head + gates.length * STRIP + 2;
  const rows = gates.map((gate, row) => {
    const y = head + row * STRIP;
    return draw(
      "g",
      {},
      draw(
        "text",
        { class: gate === memory ? "memory" : null, x: NAME - 10, y: y + STRIP / 2, "text-anchor": "end", "dominant-baseline": "central" },
        say(`gate_${gate}`),
      ),
      ...values[gate].flatMap((value, column) => gateCell(value, NAME + column * STEP, y)),
    );
  });
  const names = slantedNames(block.tokens, NAME, head - 8, STEP);
  const svg = drawing(width, height, title, say("stripsMean"), ...names, ...rows);
  svg.classList.add("strips");
  return svg;
}

// A cell with its hundredths written in it: the colour is not the only sign.
function gateCell(value, x, y) {
  const size = Math.min(1, Math.abs(value));
  const hundredths = Math.round(100 * size);
  const sign = value < 0 && hundredths ? "−" : "";
  const text = hundredths === 100 ? "1" : `.${String(hundredths).padStart(2, "0")}`;
  return [
    draw("rect", {
      class: value < 0 ? "ink-minus" : "ink-gate",
      x: x + 1,
      y: y + 1,
      width: STEP - 2,
      height: STRIP - 2,
      rx: 2,
      "fill-opacity": (0.03 + 0.97 * size).toFixed(3),
    }),
    draw(
      "text",
      { class: "in-cell", x: x + STEP / 2, y: y + STRIP / 2, "text-anchor": "middle", "dominant-baseline": "central" },
      hundredths === 0 ? "0" : sign + text,
    ),
  ];
}
