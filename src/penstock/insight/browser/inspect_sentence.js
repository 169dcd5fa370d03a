// How a model translated a sentence: what /v1/inspect of the service answers.

import { BOS_ID, EOS_ID, block } from "./beam.js";
import { isBlank, stripped } from "./characters.js";
import { AnswerError } from "./answer_error.js";
import { topTokens } from "./top.js";

const CHOICES = 8;
const SIGNED = new Set(["candidate", "cell", "hidden"]); // can be negative: their mean would say little

export async function inspectSentence(translator, { text: given, prefix = [], units = false }, pause) {
  const { engine, source, target, config, bounded } = translator;
  const reading = source.form.read(stripped(given));
  const { text } = reading;
  const ids = translator.encode(text);
  if (isBlank(text)) throw new AnswerError("bad_request", "the text is blank; give a sentence");
  if (ids.length > translator.limit) {
    throw new AnswerError("bad_request", `the text has ${ids.length} source pieces, at most ${translator.limit}`);
  }
  const vocabulary = target.vocabulary();
  const trace = [];
  const forced = prefixIds(prefix, vocabulary);
  const [best] = await translator.search({ ids }, { nBest: 1, prefix: forced, trace, pause });
  const output = [...best.tokens, EOS_ID];
  const traced = engine.trace(ids, output);
  await pause();
  for (const row of traced.logProbs) block(row, row.length);
  const sourceTokens = source.tokens(ids);
  const targetTokens = output.map((id) => vocabulary[id]);
  const readTokens = [vocabulary[BOS_ID], ...targetTokens.slice(0, -1)];
  return {
    source: given,
    text: translator.textOf(best.tokens, reading),
    status: translator.statusOf(text, [{ ids }], [best]),
    score: best.score,
    log_probability: best.logProbability,
    search: {
      beam_size: config.search.beam_size,
      normalization: "book",
      length_penalty: config.search.length_penalty,
    },
    prefix,
    source_tokens: sourceTokens,
    target_tokens: targetTokens,
    token_log_probabilities: best.logProbabilities,
    attention: traced.attention && attentionOf(traced.attention),
    choices: output.map((taken, at) => choicesOf(traced.logProbs[at], taken, vocabulary)),
    tree: treeOf(trace, output, vocabulary),
    exact: null,
    gates: traced.layers.map(({ side, layer, direction, cell, values }) => ({
      side,
      layer: layer + 1,
      direction,
      cell,
      size: Object.values(values)[0][0].length,
      tokens: side === "encoder" ? sourceTokens : readTokens,
      values: Object.fromEntries(
        Object.entries(values).map(([name, rows]) => [name, signalOf(name, rows, bounded, units)]),
      ),
    })),
  };
}

function prefixIds(pieces, vocabulary) {
  return pieces.map((piece) => {
    // of tokens that look alike the first one wins, and reserved ones come last
    const id = vocabulary.indexOf(piece, EOS_ID + 1);
    if (id < 0) throw new AnswerError("bad_request", `${piece} is not in the target vocabulary`);
    return id;
  });
}

function sixDecimals(x) {
  return Math.round(x * 1e6) / 1e6;
}

// The graphs give the mean over the heads alone.
function attentionOf(rows) {
  const mean = rows.map((row) => Array.from(row, sixDecimals));
  return { heads: [mean], mean };
}

function choicesOf(row, taken, vocabulary) {
  const ids = topTokens(row, CHOICES);
  if (!ids.includes(taken)) ids[ids.length - 1] = taken;
  return ids
    .filter((id) => row[id] > -Infinity)
    .map((id) => ({ token: vocabulary[id], log_probability: row[id] }));
}

// The candidates of each step as nodes; a parent comes before its children.
function treeOf(steps, output, vocabulary) {
  const nodes = [nodeOf(0, null, 0, { token: BOS_ID, logProbability: 0, total: 0 }, "kept", vocabulary)];
  const children = new Map();
  let rows = [0]; // nodes by row of the next step
  steps.forEach((candidates, step) => {
    const next = [];
    for (const each of candidates) {
      const parent = rows[each.row];
      const state = each.score !== undefined ? "finished" : each.became !== undefined ? "kept" : "pruned";
      const node = nodeOf(nodes.length, parent, step + 1, each, state, vocabulary);
      nodes.push(node);
      children.set(`${parent} ${each.token}`, node);
      if (each.became !== undefined) next[each.became] = node.id;
    }
    rows = next;
  });
  let end = nodes[0];
  for (const token of output) end = children.get(`${end.id} ${token}`);
  end.state = "best";
  return { nodes };
}

function nodeOf(id, parent, step, { token, logProbability, total, score = null }, state, vocabulary) {
  const shown = vocabulary[token];
  return { id, parent, step, token: shown, log_probability: logProbability, total, score, state, exact: false };
}

// A gate or a state over tokens: its mean, and in hundredths its units. Of what may exceed 1 the tanh.
function signalOf(name, rows, bounded, units) {
  const squash = name === "cell" || (SIGNED.has(name) && !bounded);
  const values = squash ? rows.map((row) => row.map(Math.tanh)) : rows;
  const size = SIGNED.has(name) ? Math.abs : (x) => x;
  const mean = values.map((row) => sixDecimals(row.reduce((sum, x) => sum + size(x), 0) / row.length));
  const hundredths = (row) => Array.from(row, (x) => Math.round(x * 100));
  return { mean, units: units ? values.map(hundredths) : null };
}
