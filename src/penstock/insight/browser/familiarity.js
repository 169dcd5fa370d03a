// Is a line like the training text? Penstock's text/familiarity.py and character_ngrams.py.

import { isBlank, stripped, wordsOf } from "./characters.js";

const ORDER = 4; // characters of the longest run
const PRIOR = 4; // weight of the shorter run's prediction, in occurrences
const MOST_BITS = 15; // surprisal of one character
const STEPS = 4; // of a stored count, per doubling
const PADDING = 10; // the code of "\n"; lines have none
const GOLDEN = 0x9e3779b97f4a7c15n;

const unsigned = (value) => BigInt.asUintN(64, value);
const FACTORS = Array.from({ length: ORDER }, (_, back) => unsigned(GOLDEN ** BigInt(back + 1)));

export class Familiarity {
  // `stored` as in a bundle, but its tables in plain bytes.
  constructor({ characters, counts, bits, ...thresholds }, tables) {
    Object.assign(this, { thresholds, bits, tables });
    this.counts = new Map(Array.from(characters, (character, i) => [character.codePointAt(0), counts[i]]));
    this.total = counts.reduce((sum, count) => sum + count, 0);
  }

  // `unknown-heavy`, `unfamiliar` or `ok`, of a text as the tokenizer reads it.
  judge(given) {
    const text = stripped(given);
    if (isBlank(text)) return "ok";
    const { mean, within, between, limit, most_unknown: mostUnknown } = this.thresholds;
    const { length, unknown, bits } = this.measure(text);
    if (2 * unknown > wordsOf(text).reduce((sum, word) => sum + [...word].length, 0)) return "unknown-heavy";
    const deviations = (bits / length - mean) / Math.sqrt(within / length + between);
    return unknown > mostUnknown || deviations > limit ? "unfamiliar" : "ok";
  }

  // The characters, those that are unknown, and the surprisal of all in bits.
  measure(text) {
    const line = Array.from(text, (character) => character.codePointAt(0));
    const codes = [...Array(ORDER - 1).fill(PADDING), ...line];
    let [unknown, bits] = [0, 0];
    let before = new Array(ORDER).fill(this.total); // runs that end a place earlier, by their length less 1
    for (let i = 0; i < codes.length; i += 1) {
      const seen = codes[i] === PADDING ? 0 : (this.counts.get(codes[i]) ?? 0);
      const own = [codes[i] === PADDING ? this.total : seen];
      let share = (seen + PRIOR / 1000) / (this.total + PRIOR);
      for (let order = 2; order <= ORDER; order += 1) {
        const count = this.countOf(codes, i, order);
        const context = Math.max(i ? before[order - 2] : 0, count);
        share = (count + PRIOR * share) / (context + PRIOR);
        own.push(count);
      }
      before = own;
      if (i < ORDER - 1) continue;
      unknown += seen === 0 ? 1 : 0;
      bits += Math.min(-Math.log2(share), MOST_BITS);
    }
    return { length: line.length, unknown, bits };
  }

  // How often the run of `order` characters that ends there occurs, by its hash.
  countOf(codes, end, order) {
    let mixed = 0n;
    for (let back = 0; back < Math.min(order, end + 1); back += 1) {
      mixed += BigInt(codes[end - back] + 1) * FACTORS[back];
    }
    // the finalizer of splitmix64
    mixed = unsigned(mixed);
    mixed = unsigned((mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n);
    mixed = unsigned((mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn);
    mixed ^= mixed >> 31n;
    const place = Number(BigInt.asUintN(this.bits, mixed));
    return 2 ** (this.tables[(order - 2) * 2 ** this.bits + place] / STEPS) - 1;
  }
}
