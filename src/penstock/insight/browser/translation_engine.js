// A translation model's graphs for one sentence: encode it, step with its rows, trace an output.

import { Graph } from "./graph.js";
import { tensor } from "./tensor.js";

const BOS = 2;
const TRACED = /^(encoder|decoder)\.(\d+)\.(forward|backward)\.([a-z_]+)$/;
const STATE_NAMES = { c: "cell", h: "hidden" };

const whole = (values, shape = [values.length]) => tensor(Int32Array.from(values), shape);

export class TranslationEngine {
  constructor({ encoder, step, cell, kernel }) {
    this.encoder = new Graph(encoder, kernel);
    this.decoder = new Graph(step, kernel);
    this.cell = cell;
    this.kernel = kernel;
    this.memory = ["keys", "values", "mask", "context"].filter((name) => this.encoder.outputs.includes(name));
    this.states = this.encoder.outputs.filter((name) => /^[hc]\d+$/.test(name));
    this.attends = this.decoder.outputs.includes("attention");
  }

  // The state before BOS: {memory, layers, parents}.
  start(source, more = []) {
    const names = [...this.memory, ...this.states, ...more];
    const feeds = { tokens: whole(source, [1, source.length]), lengths: whole([source.length]) };
    const found = this.encoder.run(feeds, names);
    const named = Object.fromEntries(names.map((name, i) => [name, found[i]]));
    const pick = (wanted) => Object.fromEntries(wanted.map((name) => [name, named[name]]));
    return { memory: pick(this.memory), layers: pick(this.states), parents: [0], traced: pick(more) };
  }

  // Every row's last token to {logProbs (N, V), attention (N, S), state}; a state may be stepped from again.
  step(tokens, { memory, layers, parents }, more = []) {
    const rows = tokens.length;
    const feeds = { tokens: whole(tokens), parents: whole(parents), ...memory, ...layers };
    if (this.attends) {
      // a product of one row alone is summed in another order by the engine that this one follows
      const width = Math.max(2, rows);
      feeds.slots = whole(Array.from({ length: width }, (_, i) => (i < rows ? i : 0)), [1, width]);
      feeds.places = whole(tokens.map((_, i) => i));
    } else {
      feeds.sentences = whole(tokens.map(() => 0));
    }
    const after = this.states.map((name) => `${name}_next`);
    const own = ["log_probs", ...(this.attends ? ["attention"] : []), ...after];
    const found = this.decoder.run(feeds, [...own, ...more]);
    const states = found.slice(own.length - after.length, own.length);
    const next = Object.fromEntries(this.states.map((name, i) => [name, states[i]]));
    const attention = this.attends ? found[1] : null;
    return {
      logProbs: found[0],
      attention: attention && tensor(attention.data, [attention.shape[2], attention.shape[3]]),
      state: { memory, layers: next, parents: tokens.map((_, i) => i) },
      traced: found.slice(own.length),
    };
  }

  // What the model computes for a source and an output, EOS last: {logProbs: [T], attention: [T], layers}.
  trace(source, output) {
    const [read, written] = [this.encoder, this.decoder].map((graph) =>
      graph.outputs.filter((name) => TRACED.test(name)),
    );
    let state = this.start(source, read);
    const values = new Map(read.map((name) => [name, rowsOf(state.traced[name])]));
    const steps = [BOS, ...output.slice(0, -1)].map((token) => {
      const step = this.step([token], state, written);
      ({ state } = step);
      return step;
    });
    written.forEach((name, i) => values.set(name, steps.map((step) => step.traced[i].data)));
    for (const name of this.states) {
      const traced = `decoder.${name.slice(1)}.forward.${STATE_NAMES[name[0]]}`;
      values.set(traced, steps.map((step) => step.state.layers[name].data));
    }
    return {
      logProbs: steps.map((step) => step.logProbs.data),
      attention: this.attends
        ? steps.map(({ attention }) => attention.data.subarray(0, attention.shape[1]))
        : null,
      layers: layersOf(values, this.cell),
    };
  }
}

// (S, 1, U) as S arrays.
function rowsOf({ data, shape: [length, , size] }) {
  return Array.from({ length }, (_, i) => data.subarray(i * size, (i + 1) * size));
}

// Values by layer and direction, the encoder's first; a cell's state after its gates.
function layersOf(values, cell) {
  const layers = new Map();
  for (const [name, rows] of values) {
    const [, side, layer, direction, what] = TRACED.exec(name);
    const key = `${side === "decoder" ? 1 : 0} ${layer.padStart(3, "0")} ${direction === "backward" ? 1 : 0}`;
    if (!layers.has(key)) {
      layers.set(key, { side, layer: Number(layer), direction, cell, values: [] });
    }
    // a backward direction's are as it reads: in the order of the text they are reversed
    layers.get(key).values.push([what, direction === "backward" ? rows.slice().reverse() : rows]);
  }
  const last = Object.values(STATE_NAMES);
  return [...layers].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, own]) => ({
    ...own,
    values: Object.fromEntries(own.values.sort(([a], [b]) => last.indexOf(a) - last.indexOf(b))),
  }));
}
