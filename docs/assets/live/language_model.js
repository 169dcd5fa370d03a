// A language model of characters: one GRU layer (torch's form), truncated backpropagation by hand, Adam with
// clipping. training.js shows it.
"use strict";

(() => {
  // All that the worker needs, in one function: its text becomes the worker's script.
  function engine() {
    const [WINDOW, ROWS, CLIP] = [32, 8, 1];
    const [BETA_1, BETA_2, EPSILON] = [0.9, 0.999, 1e-8]; // Adam's
    const HELD_OUT = 0.1;
    const MOST_HELD_OUT = 1000; // characters

    // Uniform numbers of 0 to 1 from a seed (mulberry32).
    function randomFrom(seed) {
      let state = seed >>> 0;
      return () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let x = Math.imul(state ^ (state >>> 15), 1 | state);
        x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
        return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
      };
    }

    // Weights by name: input (V, 3H), a row per character; hidden (3H, H); output (V, H); gates r, z, n.
    function create(text, hidden, seed) {
      const vocabulary = [...new Set(text)].sort();
      const ids = Array.from(text, (character) => vocabulary.indexOf(character));
      const size = vocabulary.length;
      const draw = randomFrom(seed);
      const limit = 1 / Math.sqrt(hidden);
      const uniform = (count) => Float64Array.from({ length: count }, () => (2 * draw() - 1) * limit);
      const weights = {
        input: uniform(size * 3 * hidden),
        hidden: uniform(3 * hidden * hidden),
        inputBias: uniform(3 * hidden),
        hiddenBias: uniform(3 * hidden),
        output: uniform(size * hidden),
        outputBias: uniform(size),
      };
      const zeros = () => Object.fromEntries(Object.entries(weights).map(([name, w]) => [name, new Float64Array(w.length)]));
      const train = ids.slice(0, Math.ceil(ids.length * (1 - HELD_OUT)));
      const heldOut = ids.slice(train.length).slice(0, MOST_HELD_OUT);
      const rows = Math.max(1, Math.min(ROWS, Math.floor(train.length / (WINDOW + 1))));
      return { vocabulary, hidden, weights, moments: [zeros(), zeros()], updates: 0, train, heldOut, rows, at: 0, state: null, draw };
    }

    // One step of one row: reads `before`, writes gates and the next state.
    function step({ weights, hidden: H }, id, before, r, z, n, product, after) {
      const { input, hidden, inputBias, hiddenBias } = weights;
      const from = id * 3 * H;
      const recurrent = (row) => {
        let sum = hiddenBias[row];
        for (let i = 0, at = row * H; i < H; i += 1, at += 1) sum += hidden[at] * before[i];
        return sum;
      };
      const own = (row) => input[from + row] + inputBias[row];
      for (let j = 0; j < H; j += 1) {
        r[j] = 1 / (1 + Math.exp(-own(j) - recurrent(j)));
        z[j] = 1 / (1 + Math.exp(-own(H + j) - recurrent(H + j)));
        product[j] = recurrent(2 * H + j);
        n[j] = Math.tanh(own(2 * H + j) + r[j] * product[j]);
        after[j] = z[j] * before[j] + (1 - z[j]) * n[j];
      }
    }

    // Probabilities of the next character.
    function predict({ weights, hidden: H, vocabulary }, state, temperature = 1) {
      const found = new Float64Array(vocabulary.length);
      let most = -Infinity;
      for (let v = 0; v < found.length; v += 1) {
        let sum = weights.outputBias[v];
        for (let i = 0, at = v * H; i < H; i += 1, at += 1) sum += weights.output[at] * state[i];
        found[v] = sum / temperature;
        most = Math.max(most, found[v]);
      }
      let total = 0;
      for (let v = 0; v < found.length; v += 1) total += found[v] = Math.exp(found[v] - most);
      for (let v = 0; v < found.length; v += 1) found[v] /= total;
      return found;
    }

    // The mean loss of windows [row][t], its gradient by every weight, and the states behind them.
    function gradients(model, inputs, targets, states) {
      const { weights, hidden: H } = model;
      const grads = Object.fromEntries(Object.entries(weights).map(([name, w]) => [name, new Float64Array(w.length)]));
      const share = 1 / (inputs.length * inputs[0].length);
      let loss = 0;
      const last = inputs.map((ids, row) => {
        const steps = ids.length;
        const make = () => Array.from({ length: steps }, () => new Float64Array(H));
        const [r, z, n, product, after] = [make(), make(), make(), make(), make()];
        const before = (t) => (t ? after[t - 1] : states[row]);
        for (let t = 0; t < steps; t += 1) step(model, ids[t], before(t), r[t], z[t], n[t], product[t], after[t]);
        let dh = new Float64Array(H);
        const [own, recurrent] = [new Float64Array(3 * H), new Float64Array(3 * H)]; // gradients of the sums
        for (let t = steps - 1; t >= 0; t -= 1) {
          const errors = predict(model, after[t]);
          loss -= share * Math.log(errors[targets[row][t]]);
          errors[targets[row][t]] -= 1;
          for (let v = 0; v < errors.length; v += 1) {
            const error = share * errors[v];
            grads.outputBias[v] += error;
            for (let i = 0, at = v * H; i < H; i += 1, at += 1) {
              grads.output[at] += error * after[t][i];
              dh[i] += error * weights.output[at];
            }
          }
          const old = before(t);
          const next = new Float64Array(H);
          for (let j = 0; j < H; j += 1) {
            const dn = dh[j] * (1 - z[t][j]) * (1 - n[t][j] ** 2);
            own[j] = recurrent[j] = dn * product[t][j] * r[t][j] * (1 - r[t][j]);
            own[H + j] = recurrent[H + j] = dh[j] * (old[j] - n[t][j]) * z[t][j] * (1 - z[t][j]);
            own[2 * H + j] = dn;
            recurrent[2 * H + j] = dn * r[t][j];
            next[j] = dh[j] * z[t][j];
          }
          const from = ids[t] * 3 * H;
          for (let k = 0, at = 0; k < 3 * H; k += 1) {
            grads.input[from + k] += own[k];
            grads.inputBias[k] += own[k];
            grads.hiddenBias[k] += recurrent[k];
            for (let i = 0; i < H; i += 1, at += 1) {
              grads.hidden[at] += recurrent[k] * old[i];
              next[i] += recurrent[k] * weights.hidden[at];
            }
          }
          dh = next;
        }
        return after.at(-1);
      });
      return { loss, grads, states: last };
    }

    function adam(model, grads, rate) {
      const norm = Math.sqrt(Object.values(grads).reduce((sum, g) => g.reduce((a, b) => a + b * b, sum), 0));
      const factor = Math.min(1, CLIP / (norm + 1e-6)); // torch's clip_grad_norm_
      model.updates += 1;
      const [first, second] = [1 - BETA_1 ** model.updates, 1 - BETA_2 ** model.updates];
      for (const [name, weights] of Object.entries(model.weights)) {
        const [m, v] = model.moments.map((moments) => moments[name]);
        for (let i = 0; i < weights.length; i += 1) {
          const g = factor * grads[name][i];
          m[i] = BETA_1 * m[i] + (1 - BETA_1) * g;
          v[i] = BETA_2 * v[i] + (1 - BETA_2) * g * g;
          weights[i] -= (rate * (m[i] / first)) / (Math.sqrt(v[i] / second) + EPSILON);
        }
      }
    }

    // Sequential sampling: a row's window goes on where the one before it stopped, with its state.
    function update(model, rate) {
      const { train, rows, hidden } = model;
      const length = Math.floor((train.length - 1) / rows);
      if (!model.state || model.at + 1 > length) {
        model.at = 0;
        model.state = Array.from({ length: rows }, () => new Float64Array(hidden));
      }
      const steps = Math.min(WINDOW, length - model.at);
      const windows = (shift) => model.state.map((_, row) => train.slice(row * length + model.at + shift).slice(0, steps));
      const { loss, grads, states } = gradients(model, windows(0), windows(1), model.state);
      adam(model, grads, rate);
      model.state = states;
      model.at += steps;
      return loss;
    }

    // exp of the mean over the held-out characters, read in order.
    function heldOutPerplexity(model) {
      const { heldOut, hidden: H } = model;
      const [r, z, n, product] = Array.from({ length: 4 }, () => new Float64Array(H));
      let [state, next] = [new Float64Array(H), new Float64Array(H)];
      let sum = 0;
      for (let t = 0; t + 1 < heldOut.length; t += 1) {
        step(model, heldOut[t], state, r, z, n, product, next);
        [state, next] = [next, state];
        sum -= Math.log(predict(model, state)[heldOut[t + 1]]);
      }
      return Math.exp(sum / Math.max(heldOut.length - 1, 1));
    }

    // What the frequencies of the characters alone give on the held-out ones; one is added to each count.
    function unigramPerplexity({ train, heldOut, vocabulary }) {
      const counts = vocabulary.map(() => 1);
      for (const id of train) counts[id] += 1;
      const total = train.length + vocabulary.length;
      const scored = heldOut.slice(1);
      return Math.exp(-scored.reduce((sum, id) => sum + Math.log(counts[id] / total), 0) / Math.max(scored.length, 1));
    }

    function sample(model, count, temperature) {
      const H = model.hidden;
      const [r, z, n, product] = Array.from({ length: 4 }, () => new Float64Array(H));
      let [state, next] = [new Float64Array(H), new Float64Array(H)];
      let id = model.train[Math.floor(model.draw() * model.train.length)];
      let text = "";
      for (let t = 0; t < count; t += 1) {
        step(model, id, state, r, z, n, product, next);
        [state, next] = [next, state];
        let left = model.draw();
        const shares = predict(model, state, temperature);
        id = shares.findIndex((share) => (left -= share) < 0);
        if (id < 0) id = shares.length - 1;
        text += model.vocabulary[id];
      }
      return text;
    }

    return { create, gradients, adam, update, heldOutPerplexity, unigramPerplexity, sample };
  }

  if (typeof module !== "undefined") module.exports = engine();
  else window.live.languageModel = engine;
})();
