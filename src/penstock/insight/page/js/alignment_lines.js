// Two columns of pieces and the weights between them as lines.

import { draw, drawing } from "./dom.js";
import { fitted, percent, quoted, roomFor, shownPiece } from "./pieces.js";
import { say } from "./strings.js";

const ROW = 24; // as in the map beside it
const WIDEST = 128; // px for a column of pieces
const HEADS = 26;
const BETWEEN = 150;
const FAINTEST = 0.02; // weights below are not drawn: their sum is small and their lines are many

// `link(side, index)` is called when a piece is pointed at or focused.
export function alignmentLines(inspection, weights, link) {
  const sides = { source: inspection.source_tokens, target: inspection.target_tokens };
  const rows = ROW * Math.max(sides.source.length, sides.target.length);
  const at = (side, index) => HEADS + ((index + 0.5) * rows) / sides[side].length;
  const left = roomFor([...sides.source, say("source")], WIDEST);
  const right = left + BETWEEN;
  const width = right + roomFor([...sides.target, say("outputLabel")], WIDEST);
  const lines = draw("g", { class: "lines", "aria-hidden": "true" });
  weights.forEach((row, target) =>
    row.forEach((weight, source) => {
      if (weight >= FAINTEST) lines.append(line(at, left, source, target, weight));
    }),
  );
  const names = { source: [], target: [] };
  for (const side of ["source", "target"]) {
    sides[side].forEach((token, index) =>
      names[side].push(pieceName(side, index, token, side === "source" ? left - 6 : right + 6, at(side, index), strongestOf(side, index))),
    );
  }
  function strongestOf(side, index) {
    const row = side === "target" ? weights[index] : weights.map((one) => one[index]);
    const best = row.indexOf(Math.max(...row));
    const other = sides[side === "target" ? "source" : "target"][best];
    const list = `${quoted(other)} ${percent(row[best])}`;
    const key = side === "target" ? "looksAt" : "lookedAtBy";
    return say(key, { token: quoted(sides[side][index]), list });
  }
  const svg = drawing(
    width,
    HEADS + rows + 2,
    say("linesName"),
    say("linesMean"),
    draw("text", { class: "axis", x: left - 6, y: 10, "text-anchor": "end" }, say("source")),
    draw("text", { class: "axis", x: right + 6, y: 10 }, say("outputLabel")),
    lines,
    ...names.source,
    ...names.target,
  );
  svg.classList.add("alignment");
  moveThrough(svg, names, link);

  function mark(side, index) {
    svg.classList.toggle("has-link", index !== null);
    const weightTo = (other) => (side === "target" ? weights[index][other] : weights[other][index]);
    for (const [name, group] of Object.entries(names)) {
      group.forEach((node, place) => {
        const own = name === side && place === index;
        const tied = index !== null && name !== side && weightTo(place) >= 0.1;
        node.classList.toggle("linked", index !== null && (own || tied));
      });
    }
    for (const one of lines.children) {
      one.classList.toggle("linked", index !== null && Number(one.dataset[side]) === index);
    }
  }
  return { svg, mark };
}

function line(at, left, source, target, weight) {
  const [x1, x2] = [left, left + BETWEEN];
  const [y1, y2] = [at("source", source), at("target", target)];
  const bend = (x2 - x1) * 0.45;
  return draw("path", {
    d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`,
    "stroke-width": (0.6 + 3.4 * weight).toFixed(2),
    "stroke-opacity": (0.12 + 0.88 * weight).toFixed(2),
    "data-source": source,
    "data-target": target,
  });
}

function pieceName(side, index, token, x, y, label) {
  return draw(
    "text",
    {
      class: "piece",
      x,
      y,
      "text-anchor": side === "source" ? "end" : "start",
      "dominant-baseline": "central",
      "data-side": side,
      "data-index": index,
      role: "img",
      "aria-label": label,
      tabindex: side === "target" && index === 0 ? 0 : -1,
    },
    fitted(shownPiece(token), WIDEST - 12),
  );
}

// One tab stop; up and down go through a column, left and right to the other.
function moveThrough(svg, names, link) {
  const steps = { ArrowUp: -1, ArrowDown: 1 };
  const columns = { ArrowLeft: "source", ArrowRight: "target" };
  const placeOf = (node) => [node?.dataset?.side, Number(node?.dataset?.index)];

  svg.addEventListener("keydown", (event) => {
    const [side, index] = placeOf(event.target);
    if (!side || !(event.key in steps || event.key in columns)) return;
    event.preventDefault();
    const group = names[columns[event.key] ?? side];
    const wanted = Math.min(Math.max(index + (steps[event.key] ?? 0), 0), group.length - 1);
    event.target.setAttribute("tabindex", -1);
    group[wanted].setAttribute("tabindex", 0);
    group[wanted].focus();
  });
  for (const kind of ["pointerover", "focusin"]) {
    svg.addEventListener(kind, (event) => {
      const [side, index] = placeOf(event.target.closest("[data-side]"));
      if (side) link(side, index);
    });
  }
  svg.addEventListener("pointerleave", () => link("target", null));
  svg.addEventListener("focusout", () => link("target", null));
}
