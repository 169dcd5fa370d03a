// Pieces of a vocabulary as people read them, and numbers.

import { currentLanguage, say } from "./strings.js";

const SPACE_MARK = "▁";
const END_MARKS = new Set(["</s>", "<eos>"]);
const START_MARKS = new Set(["<s>", "<bos>"]);

export function isEnd(token) {
  return END_MARKS.has(token);
}

function isStart(token) {
  return START_MARKS.has(token);
}

export function shownPiece(token) {
  if (isEnd(token)) return say("pieceEnd");
  if (isStart(token)) return say("pieceStart");
  if (token === "<unk>") return say("pieceUnknown");
  const bare = token.replaceAll(SPACE_MARK, " ").trimStart();
  return bare.trim() === "" ? "␣" : bare;
}

export function quoted(token) {
  if (isEnd(token) || isStart(token)) return shownPiece(token);
  return say("quoted", { text: shownPiece(token) });
}

// What a row of pieces spells: with space marks, in single characters, or word by word.
export function joinedPieces(tokens) {
  const inner = tokens.filter((token) => !isEnd(token) && !isStart(token));
  if (inner.some((token) => token.includes(SPACE_MARK))) {
    return inner.join("").replaceAll(SPACE_MARK, " ").trim();
  }
  return inner.join(inner.every((token) => [...token].length === 1) ? "" : " ");
}

function isWide(character) {
  return character.codePointAt(0) > 0x2e7f;
}

// About the width of a text in pixels at 14 pixels a line.
function widthOf(text) {
  let width = 0;
  for (const character of text) width += isWide(character) ? 14 : 7.4;
  return width;
}

// Room for the longest of some pieces, within limits.
export function roomFor(tokens, most) {
  const widest = tokens.reduce((room, token) => Math.max(room, widthOf(shownPiece(token))), 0);
  return Math.min(most, Math.ceil(widest) + 16);
}

// Shortened so that it takes about so many pixels at 14 pixels a line.
export function fitted(text, width) {
  let room = width;
  let out = "";
  for (const character of text) {
    room -= isWide(character) ? 14 : 7.4;
    if (room < 0) return `${out}…`;
    out += character;
  }
  return out;
}

export function number(value, digits = 2) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const form = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(currentLanguage(), form).format(value).replace("-", "−");
}

export function percent(share) {
  if (share > 0 && share < 0.001) return "<0.1%";
  return `${number(100 * share, share < 0.0995 ? 1 : 0)}%`;
}

export function percentOfLog(logProbability) {
  return percent(Math.exp(logProbability));
}
