// Pieces over columns, slanted so that long ones find room.

import { draw } from "./dom.js";
import { fitted, roomFor, shownPiece } from "./pieces.js";

const LONGEST_NAME = 96; // px

export function slantedNames(tokens, left, y, step) {
  return tokens.map((token, index) => {
    const x = left + (index + 0.5) * step;
    const turn = `translate(${x + 3} ${y}) rotate(-52)`;
    return draw("text", { transform: turn, class: "slanted" }, fitted(shownPiece(token), LONGEST_NAME));
  });
}

// The height that slanted names take.
export function headRoom(tokens) {
  return Math.ceil(0.79 * roomFor(tokens, LONGEST_NAME)) + 12;
}
