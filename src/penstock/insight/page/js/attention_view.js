// Where the model looks: lines between the two sentences, and the same weights as a map.

import { asText, fill, make, radios, table } from "./dom.js";
import { alignmentLines } from "./alignment_lines.js";
import { heatMap } from "./heat_map.js";
import { percent, quoted, shownPiece } from "./pieces.js";
import { say } from "./strings.js";

export function attentionView(place) {
  let head = "mean";

  function show(inspection) {
    if (!inspection.attention) return fill(place, make("p", {}, say("noAttention")));
    const { heads, mean } = inspection.attention;
    if (head !== "mean" && head >= heads.length) head = "mean";
    const weights = head === "mean" ? mean : heads[head];
    const choices = [["mean", say("headMean")]];
    heads.forEach((_, index) => choices.push([index, String(index + 1)]));
    const pick = (value) => {
      head = value;
      show(inspection);
      place.querySelector("input:checked")?.focus();
    };
    fill(
      place,
      heads.length > 1 ? radios(say("heads"), choices, head, pick) : null,
      linkedFigures(inspection, weights),
      asText(say("asTable"), () => weightTable(inspection, weights)),
    );
  }

  return { show };
}

function linkedFigures(inspection, weights) {
  const readout = make("p", { class: "readout", "aria-live": "polite" }, say("attentionHint"));
  const parts = [];
  const link = (side, index) => {
    for (const part of parts) part.mark(side, index);
    fill(readout, index === null ? say("attentionHint") : told(inspection, weights, side, index));
  };
  parts.push(alignmentLines(inspection, weights, link), heatMap(inspection, weights, link));
  const [lines, map] = parts.map((part, index) => {
    const label = say(index === 0 ? "linesName" : "mapName");
    return make("div", { class: "scroll", role: "region", "aria-label": label, tabindex: 0 }, part.svg);
  });
  return make("div", {}, make("div", { class: "side-by-side" }, lines, map), readout);
}

// The weights that concern one piece, largest first: [index on the other side, weight].
function strongest(weights, side, index, count) {
  const row = side === "target" ? weights[index] : weights.map((line) => line[index]);
  const ranked = row.map((weight, place) => [place, weight]).sort((a, b) => b[1] - a[1]);
  return ranked.slice(0, count).filter(([, weight]) => weight >= 0.005);
}

function told(inspection, weights, side, index) {
  const own = side === "target" ? inspection.target_tokens : inspection.source_tokens;
  const other = side === "target" ? inspection.source_tokens : inspection.target_tokens;
  const list = strongest(weights, side, index, 3)
    .map(([place, weight]) => `${quoted(other[place])} ${percent(weight)}`)
    .join(say("comma"));
  return say(side === "target" ? "looksAt" : "lookedAtBy", { token: quoted(own[index]), list });
}

function weightTable(inspection, weights) {
  const rows = inspection.target_tokens.map((token, index) => [
    shownPiece(token),
    strongest(weights, "target", index, 3)
      .map(([place, weight]) => `${shownPiece(inspection.source_tokens[place])} ${percent(weight)}`)
      .join(say("comma")),
  ]);
  return table(say("attentionTable"), [say("targetPiece"), say("mostWeight")], rows);
}

