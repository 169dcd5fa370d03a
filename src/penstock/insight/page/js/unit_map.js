// All units of one gate at once: a thin row for each unit, a column for each token.

import { draw, drawing } from "./dom.js";
import { say } from "./strings.js";

const UNIT_ROW = 4;
const UNIT_STEP = 36;
const UNIT_LEFT = 86;
const LEVELS = 8; // shades: one path for each, not a rectangle for each of thousands of cells

export function unitMap(block, gate, chosen, onChoose) {
  const units = block.values[gate].units; // (N, U) in hundredths
  const paths = new Map();
  units.forEach((row, column) =>
    row.forEach((value, unit) => {
      const level = Math.round((LEVELS * Math.min(100, Math.abs(value))) / 100);
      if (level === 0) return;
      const key = value < 0 ? -level : level;
      const corner = `${UNIT_LEFT + column * UNIT_STEP} ${unit * UNIT_ROW}`;
      const outline = `M${corner}h${UNIT_STEP}v${UNIT_ROW}h-${UNIT_STEP}z`;
      paths.set(key, (paths.get(key) ?? "") + outline);
    }),
  );
  const width = UNIT_LEFT + units.length * UNIT_STEP;
  const height = block.size * UNIT_ROW;
  const svg = drawing(
    width,
    height,
    say("unitMapName"),
    say("unitMapMean"),
    ...[...paths].map(([level, d]) =>
      draw("path", {
        class: level < 0 ? "ink-minus" : "ink-heat",
        "fill-opacity": Math.abs(level) / LEVELS,
        d,
      }),
    ),
    chosen === null
      ? null
      : draw("rect", {
          class: "band",
          x: UNIT_LEFT - 2,
          y: (chosen - 1) * UNIT_ROW - 1,
          width: width - UNIT_LEFT + 2,
          height: UNIT_ROW + 2,
        }),
    ...tens(block.size),
  );
  svg.classList.add("unit-map");
  svg.addEventListener("click", (event) => {
    const y = event.clientY - svg.getBoundingClientRect().top;
    onChoose(Math.min(block.size, Math.floor(y / UNIT_ROW) + 1));
  });
  return svg;
}

function tens(size) {
  const marks = [];
  for (let unit = 10; unit <= size; unit += 10) {
    const y = (unit - 0.5) * UNIT_ROW;
    const place = { x: UNIT_LEFT - 8, y, "text-anchor": "end", "dominant-baseline": "central" };
    marks.push(draw("text", place, String(unit)));
  }
  return marks;
}
