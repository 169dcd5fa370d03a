// Beam search for one sentence: the rules of penstock's search/beam.py, whose results are the same.

import { topTokens } from "./top.js";

export const PAD = 0;
export const UNKNOWN_ID = 1;
export const BOS_ID = 2;
export const EOS_ID = 3;
const BLOCKED = [PAD, UNKNOWN_ID, BOS_ID]; // never written

// What the log-probability of `length` tokens, EOS counted, is divided by.
function divisorOf(alpha, length) {
  return Math.max(length, 1) ** alpha;
}

export function block(logProbs, vocabSize) {
  for (let row = 0; row < logProbs.length; row += vocabSize) {
    for (const id of BLOCKED) logProbs[row + id] = -Infinity;
  }
}

// Up to `nBest` hypotheses, best first.
//
// `prefix` are ids that the output begins with; `trace`, an array or null, is given for each step the
// candidates that it compared. `pause` is awaited before each step, and throws to cancel.
export async function beamSearch(engine, first, options) {
  const { beamSize, nBest, alpha, maxLength, prefix = [], trace = null, pause } = options;
  const [finished, steps] = [[], []];
  let margin = null; // of the best above the next one, ended or not, once it is decided
  let rows = { tokens: [BOS_ID], totals: [0] };
  let state = first;
  while (rows.tokens.length) {
    await pause();
    const length = steps.length;
    const output = engine.step(rows.tokens, state);
    const scores = output.logProbs.data;
    const size = output.logProbs.shape[1];
    if (Number.isNaN(scores[0])) throw new Error("the model's output is not numbers");
    block(scores, size);
    const byChoice = restrict(scores, size, { length, maxLength, prefix });
    const chosen = bestOf(scores, size, rows.totals, beamSize, beamSize - finished.length);
    for (const each of chosen.filter(({ token }) => token === EOS_ID)) {
      each.score = each.total / divisorOf(alpha, length + 1);
      finished.push({ ...each, length, byChoice: byChoice[each.row] });
    }
    const going = chosen.filter(({ token }) => token !== EOS_ID);
    const within = (rank) => canImprove(going, finished, rank, divisorOf(alpha, maxLength + 1));
    if (finished.length && going.length && !within(1)) {
      margin ??= marginOf(finished, Math.max(...going.map(({ total }) => total)));
    }
    const alive = within(nBest) ? going : [];
    alive.forEach((each, row) => (each.became = row));
    trace?.push([...chosen, ...prunedOf(scores, size, rows.totals, chosen, beamSize)]);
    steps.push(alive);
    state = { ...output.state, parents: alive.map(({ row }) => row) };
    rows = { tokens: alive.map(({ token }) => token), totals: alive.map(({ total }) => total) };
  }
  const found = bestHypotheses(finished, steps, nBest);
  if (found.length && beamSize > 1) found[0].margin = margin ?? marginOf(finished, -Infinity);
  return found;
}

// Leaves what may follow: a forced token, or EOS at the greatest length. For each row, whether its
// hypothesis, if it ends here, does so by the model's choice.
function restrict(scores, size, { length, maxLength, prefix }) {
  const byChoice = [];
  const only = length < prefix.length ? prefix[length] : length >= maxLength ? EOS_ID : null;
  for (let from = 0; from < scores.length; from += size) {
    const row = scores.subarray(from, from + size);
    byChoice.push(length < maxLength || topTokens(row, 1)[0] === EOS_ID);
    if (only === null) continue;
    const kept = row[only];
    row.fill(-Infinity);
    row[only] = kept;
  }
  return byChoice;
}

// The best expansions of all rows; of equal totals the earlier row's, then the likelier token's first.
function bestOf(scores, size, totals, count, slots) {
  const found = [];
  totals.forEach((before, row) => {
    const own = scores.subarray(row * size, (row + 1) * size);
    for (const token of topTokens(own, count)) {
      const logProbability = own[token];
      if (logProbability > -Infinity) {
        found.push({ row, token, logProbability, total: before + logProbability });
      }
    }
  });
  return found.sort((a, b) => b.total - a.total).slice(0, slots);
}

// Whether a partial hypothesis can still be among the `rank` best, or fewer are finished.
function canImprove(going, finished, rank, divisor) {
  if (finished.length < rank || !going.length) return true;
  const worst = byScore(finished)[rank - 1].score;
  return worst < Math.max(...going.map(({ total }) => total / divisor));
}

function byScore(finished) {
  return [...finished].sort((a, b) => b.score - a.score);
}

// Log-probability of the best finished hypothesis above the others, and above one that goes on.
function marginOf(finished, next) {
  const [best, ...others] = byScore(finished).map(({ total }) => total);
  return best - Math.max(next, ...others);
}

// The likeliest tokens of each row that were not chosen.
function prunedOf(scores, size, totals, chosen, count) {
  const taken = new Set(chosen.map(({ row, token }) => `${row} ${token}`));
  return bestOf(scores, size, totals, count, Infinity)
    .filter(({ row, token }) => !taken.has(`${row} ${token}`))
    .sort((a, b) => a.row - b.row);
}

function bestHypotheses(finished, steps, nBest) {
  const different = new Map();
  for (const each of byScore(finished)) {
    if (different.size === nBest) break;
    const hypothesis = hypothesisOf(each, steps);
    const key = hypothesis.tokens.join(" ");
    if (!different.has(key)) different.set(key, hypothesis);
  }
  return [...different.values()];
}

function hypothesisOf(end, steps) {
  const [tokens, logProbabilities] = [[], [end.logProbability]];
  for (let step = end.length - 1, { row } = end; step >= 0; step -= 1) {
    const own = steps[step][row];
    tokens.unshift(own.token);
    logProbabilities.unshift(own.logProbability);
    ({ row } = own);
  }
  const { score, total, byChoice } = end;
  return { tokens, logProbabilities, score, logProbability: total, finished: byChoice, margin: null };
}
