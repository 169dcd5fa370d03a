// Text to the ids that penstock's tokenizers give in Python, and back.

import { mergedPieces } from "./bpe.js";
import { preprocess, rejoin, wellFormed, wordsOf } from "./characters.js";
import { TextForm } from "./text_form.js";
import { likeliestPieces, unigramModel } from "./unigram.js";

const RESERVED = 4;
const UNKNOWN = 1;
const SYMBOL_END = " "; // ends every stored symbol
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });

// a word with the space before it, a digit, other characters, spaces; see penstock's text/pieces.py
const PIECES = new RegExp(
  " ?\\p{L}[\\p{L}\\p{M}]*(?:['’](?=\\p{L}))?| ?\\p{N}| ?[^\\p{White_Space}\\p{L}\\p{N}]+" +
    "|\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+", "gu",
);

// The printable character that stands for each byte in a vocabulary, as in GPT-2.
const ALPHABET = byteAlphabet();
const BYTE_OF = new Map(ALPHABET.map((symbol, byte) => [symbol, byte]));

function byteAlphabet() {
  const isPrintable = (byte) =>
    (byte >= 0x21 && byte < 0x7f) || (byte >= 0xa1 && byte !== 0xad);
  let others = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : others++));
}

const SPLITS = {
  word: (text) => wordsOf(preprocess(text)),
  char: (text) => [...text],
  separator: (text, separator) => (text ? text.split(separator) : []),
};
const JOINERS = { word: " ", separator: null };

export class Tokenizer {
  constructor(json) {
    const { penstock, tokenizer: { model } } = JSON.parse(json);
    this.kind = penstock.kind;
    this.separator = penstock.separator;
    this.form = new TextForm(penstock.form);
    this.split = SPLITS[this.kind] ?? null; // null: runs of bytes
    if (!this.split && this.kind !== "bpe" && this.kind !== "unigram") {
      throw new Error(`tokenizer kind ${this.kind} is not one that this page has`);
    }
    const joiner = this.kind in JOINERS ? JOINERS[this.kind] : "";
    this.symbolSeparator = joiner === null ? this.separator : null;
    this.joiner = joiner ?? this.separator;
    const ids = Array.isArray(model.vocab) ? model.vocab.map(([piece], id) => [piece, id]) : Object.entries(model.vocab);
    this.ids = new Map(ids);
    this.symbols = new Array(ids.length);
    for (const [symbol, id] of ids) this.symbols[id] = symbol;
    this.contents = this.symbols.map((symbol, id) => this.bytesOf(symbol, id));
    this.known = new Map(); // pieces that were met before
    if (this.kind === "bpe") {
      this.ranks = new Map(model.merges.map(([left, right], rank) => [`${left} ${right}`, rank]));
    } else if (this.kind === "unigram") this.unigram = unigramModel(model.vocab);
  }

  bytesOf(symbol, id) {
    if (!this.split) return Uint8Array.from(symbol, (character) => BYTE_OF.get(character));
    const isOrdinary = id >= RESERVED && symbol.endsWith(SYMBOL_END);
    return ENCODER.encode(isOrdinary ? symbol.slice(0, -SYMBOL_END.length) : symbol);
  }

  encode(given) {
    const text = this.form.apply(wellFormed(given));
    if (this.split) {
      return this.split(text, this.separator).map((symbol) => this.ids.get(symbol + SYMBOL_END) ?? UNKNOWN);
    }
    return text ? ` ${text}`.match(PIECES).flatMap((piece) => this.encodePiece(piece)) : [];
  }

  encodePiece(piece) {
    let ids = this.known.get(piece);
    if (!ids) {
      const symbols = Array.from(ENCODER.encode(piece), (byte) => ALPHABET[byte]);
      const merged = this.ranks ? mergedPieces(symbols, this.ranks) : likeliestPieces(symbols, this.unigram);
      ids = merged.map((symbol) => this.ids.get(symbol));
      if (this.known.size < 10_000) this.known.set(piece, ids);
    }
    return ids;
  }

  // The text as its tokens read it: in the model's case and Unicode form, symbols split.
  normalized(given) {
    const text = this.form.apply(this.form.read(given).text);
    return this.split ? this.split(text, this.separator).join(this.joiner) : text;
  }

  // Ids to text, without reserved ones but `<unk>`; bytes that form no character become U+FFFD.
  decode(ids) {
    const kept = ids.filter((id) => id >= RESERVED || id === UNKNOWN);
    const joiner = ENCODER.encode(this.joiner);
    const bytes = kept.flatMap((id, i) => [...(i ? joiner : []), ...this.contents[id]]);
    const text = DECODER.decode(Uint8Array.from(bytes));
    if (this.kind === "word") return this.form.undo(rejoin(text));
    return this.form.undo(!this.split && text.startsWith(" ") ? text.slice(1) : text);
  }

  // Readable tokens, one per id: a space as `▁`, bytes of an incomplete character as `\xe2`.
  tokens(ids) {
    return Array.from(ids, (id) => {
      const shown = readable(this.contents[id]);
      return this.joiner ? shown : shown.replaceAll(" ", "▁");
    });
  }

  vocabulary() {
    this.shown ??= this.tokens(this.symbols.keys());
    return this.shown;
  }
}

function readable(bytes) {
  let shown = "";
  for (let at = 0; at < bytes.length;) {
    const length = characterLength(bytes, at);
    if (length) shown += DECODER.decode(bytes.subarray(at, at + length));
    else shown += `\\x${bytes[at].toString(16).padStart(2, "0")}`;
    at += length || 1;
  }
  return shown;
}

const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

// How many bytes the character has that begins there; 0: none begins.
function characterLength(bytes, at) {
  const first = bytes[at];
  const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (at + length > bytes.length) return 0;
  try {
    STRICT.decode(bytes.subarray(at, at + length));
    return length;
  } catch {
    return 0;
  }
}
