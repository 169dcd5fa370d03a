// Attention as a map: a row for each target piece, a column for each source piece.

import { draw, drawing } from "./dom.js";
import { fitted, roomFor, shownPiece } from "./pieces.js";
import { headRoom, slantedNames } from "./slanted_names.js";
import { say } from "./strings.js";

const CELL = 24;
const WIDEST_ROW = 112;
const SHADE = 0.02; // cells below are left blank

export function heatMap(inspection, weights, link) {
  const { source_tokens: sources, target_tokens: targets } = inspection;
  const left = roomFor(targets, WIDEST_ROW);
  const top = headRoom(sources);
  const [width, height] = [sources.length * CELL, targets.length * CELL];
  const cells = draw("g", { class: "cells" });
  weights.forEach((row, target) =>
    row.forEach((weight, source) => {
      if (weight >= SHADE) cells.append(cell(left, top, source, target, weight));
    }),
  );
  const columnNames = slantedNames(sources, left, top - 8, CELL);
  const rowNames = targets.map((token, index) =>
    draw(
      "text",
      {
        x: left - 8,
        y: top + (index + 0.5) * CELL,
        "text-anchor": "end",
        "dominant-baseline": "central",
      },
      fitted(shownPiece(token), WIDEST_ROW - 16),
    ),
  );
  const bandRow = draw("rect", { class: "band", x: left, width, height: CELL, visibility: "hidden" });
  const bandColumn = draw("rect", { class: "band", y: top, width: CELL, height, visibility: "hidden" });
  const svg = drawing(
    left + width + 60,
    top + height + 2,
    say("mapName"),
    say("mapMean"),
    draw("rect", { class: "field", x: left, y: top, width, height }),
    cells,
    bandRow,
    bandColumn,
    ...columnNames,
    ...rowNames,
  );
  svg.classList.add("heat");

  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const source = Math.floor((event.clientX - box.left - left) / CELL);
    const target = Math.floor((event.clientY - box.top - top) / CELL);
    const [inColumn, inRow] = [sources[source] !== undefined, targets[target] !== undefined];
    if (inRow) link("target", target);
    else if (inColumn) link("source", source);
    if (inRow && inColumn) stand(bandColumn, "x", left + source * CELL);
  });
  svg.addEventListener("pointerleave", () => link("target", null));

  function mark(side, index) {
    for (const band of [bandRow, bandColumn]) band.setAttribute("visibility", "hidden");
    if (index === null) return;
    if (side === "target") stand(bandRow, "y", top + index * CELL);
    else stand(bandColumn, "x", left + index * CELL);
    rowNames.forEach((node, place) =>
      node.classList.toggle("linked", side === "target" && place === index),
    );
  }
  return { svg, mark };
}

function stand(band, axis, value) {
  band.setAttribute(axis, value);
  band.setAttribute("visibility", "visible");
}

function cell(left, top, source, target, weight) {
  return draw("rect", {
    class: "ink-heat",
    x: left + source * CELL + 1,
    y: top + target * CELL + 1,
    width: CELL - 2,
    height: CELL - 2,
    rx: 2,
    "fill-opacity": weight.toFixed(2),
  });
}
