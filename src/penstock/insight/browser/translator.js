// Text in, text out, as penstock's Translator and its service's /v1/translate give it.

import { EOS_ID, UNKNOWN_ID, beamSearch } from "./beam.js";
import { cutToFit, isBlank, lettersOnly, outerSpace, stripped } from "./characters.js";
import { surenessOf } from "./confidence.js";
import { hasLoop } from "./repetition.js";

// from least to most severe
const SEVERITY = [
  "empty", "ok", "split", "unsure", "unfamiliar", "unknown-heavy", "repeated", "length-capped",
  "truncated",
];

export class Translator {
  // `config` as in a bundle's index; `pair` is {source, target}; `bounded`: the cell's states are
  // within -1 and 1; `familiarity` and `confidence` or null.
  constructor({ engine, source, target, config, pair, bounded, familiarity, confidence }) {
    Object.assign(this, { engine, source, target, config, pair, bounded, familiarity, confidence });
    this.limit = config.data.max_source_tokens;
  }

  encode(text) {
    return [...this.source.encode(text), EOS_ID];
  }

  // The segments of a line as it is read (see TextForm).
  segmentsOf(text) {
    if (isBlank(text)) return [];
    const fits = (piece) => this.encode(piece).length <= this.limit;
    return (fits(text) ? [text] : [...cutToFit(text, fits)]).map((piece) => this.segment(piece));
  }

  segment(text) {
    const ids = this.encode(text);
    const wasCut = ids.length > this.limit; // a character alone may be too long
    return { text, ids: wasCut ? [...ids.slice(0, this.limit - 1), EOS_ID] : ids, wasCut };
  }

  likenessOf(line) {
    const text = this.config.data.normalize === "letters" ? lettersOnly(line) : line;
    return this.familiarity?.judge(this.source.normalized(text)) ?? "ok";
  }

  search(segment, options) {
    const { search } = this.config;
    return beamSearch(this.engine, this.engine.start(segment.ids), {
      beamSize: search.beam_size,
      alpha: search.length_penalty,
      maxLength: Math.ceil(search.max_length_ratio * segment.ids.length) + search.max_length_extra,
      ...options,
    });
  }

  // A text of several lines; line ends, blank lines and outer white space stay.
  async translate(text, { nBest, pause }) {
    const begun = performance.now();
    const lines = text.split(/\r\n|\n|\r/);
    const ends = [...(text.match(/\r\n|\n|\r/g) ?? []), ""];
    const found = [];
    let whole = "";
    for (const [i, line] of lines.entries()) {
      const result = isBlank(line) ? null : await this.translateLine(line, nBest, pause);
      if (result) found.push(result);
      whole += (result?.text ?? line) + ends[i];
    }
    const seconds = (performance.now() - begun) / 1000;
    const languages = { source_language: this.pair.source, target_language: this.pair.target };
    return { ...joined(found), source: text, text: whole, seconds, ...languages };
  }

  async translateLine(line, nBest, pause) {
    const reading = this.source.form.read(stripped(line));
    const segments = this.segmentsOf(reading.text);
    const found = [];
    for (const segment of segments) found.push(await this.search(segment, { nBest, pause }));
    const best = found.map(([first]) => first);
    const [before, behind] = outerSpace(line);
    const [first, ...others] =
      segments.length === 1 ? found[0].map((each) => this.alternative(each, reading)) : [];
    const isFamiliar = this.likenessOf(reading.text) === "ok";
    const texts = best.map(({ tokens }) => this.textOf(tokens, reading));
    const isRecased = reading.text !== stripped(line);
    return {
      source: line,
      text: before + texts.join(this.target.symbolSeparator ?? " ") + behind,
      status: this.statusOf(reading.text, segments, best),
      parts: segments.length,
      score: sum(best.map((each) => each.score)),
      log_probability: sum(best.map((each) => each.logProbability)),
      tokens: first?.tokens ?? [],
      token_log_probabilities: first?.token_log_probabilities ?? [],
      source_tokens: this.source.tokens(segments.flatMap(({ ids }) => ids)),
      alignment: null,
      alternatives: others,
      read_as: isRecased ? segments.map(({ text }) => text).join(" ") : null,
      ...surenessOf(isFamiliar ? this.confidence : null, best),
    };
  }

  textOf(tokens, { capitals }) {
    const text = this.target.decode(tokens).replace(/[\r\n]/g, " ");
    return capitals ? text.toUpperCase() : text;
  }

  alternative({ tokens, score, logProbability, logProbabilities }, reading) {
    return {
      text: this.textOf(tokens, reading),
      score,
      log_probability: logProbability,
      tokens: this.target.tokens(tokens),
      token_log_probabilities: logProbabilities,
      alignment: null,
    };
  }

  statusOf(text, segments, best) {
    if (segments.some(({ wasCut }) => wasCut)) return "truncated";
    if (best.some(({ finished }) => !finished)) return "length-capped";
    const isLooped = ({ ids }, { tokens }) =>
      hasLoop(this.target.tokens(tokens)) && !hasLoop(this.source.tokens(ids));
    if (segments.some((segment, i) => isLooped(segment, best[i]))) return "repeated";
    const isStrange = ({ ids }) => 2 * ids.filter((id) => id === UNKNOWN_ID).length > ids.length - 1;
    if (segments.some(isStrange)) return "unknown-heavy";
    return mostSevere([this.likenessOf(text), segments.length > 1 ? "split" : "ok"]);
  }
}

function mostSevere(statuses) {
  return statuses.reduce((a, b) => (SEVERITY.indexOf(b) > SEVERITY.indexOf(a) ? b : a));
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}

// The lines' results as one; alternatives belong to a single line.
function joined(found) {
  if (found.length === 1) return found[0];
  const known = (get, join) =>
    found.length && found.every((each) => get(each) !== null) ? join(found.map(get)) : null;
  const statuses = found.length ? ["split", ...found.map(({ status }) => status)] : ["empty"];
  return {
    status: mostSevere(statuses),
    parts: sum(found.map(({ parts }) => parts)),
    score: sum(found.map(({ score }) => score)),
    log_probability: sum(found.map((each) => each.log_probability)),
    tokens: [],
    token_log_probabilities: [],
    source_tokens: found.flatMap((each) => each.source_tokens),
    alignment: null,
    alternatives: [],
    read_as: found.some((each) => each.read_as)
      ? found.map((each) => each.read_as ?? each.source).join("\n")
      : null,
    confidence: known(({ confidence }) => confidence, (all) => all.reduce((a, b) => a * b)),
    expected_chrf: known((each) => each.expected_chrf, (all) => sum(all) / all.length),
  };
}
