// Runs an ONNX graph: only the nodes that the requested outputs need, constants once.

import { readModel } from "./onnx_file.js";
import { OPERATORS } from "./operators.js";
import { sizeOf, tensor } from "./tensor.js";

export class Graph {
  constructor(bytes, kernel) {
    Object.assign(this, readModel(bytes)); // constants grow by what follows from constants alone
    this.tools = { kernel, packed: new Map() };
    this.programs = new Map();
  }

  // Tensors by name to the named outputs, in order.
  run(feeds, outputs) {
    const key = outputs.join(" ");
    if (!this.programs.has(key)) {
      this.programs.set(key, this.program(this.nodes, this.inputs, outputs));
    }
    const program = this.programs.get(key);
    const missing = program.inputs.find((name) => name in program.places && !feeds[name]);
    if (missing) throw new Error(`the graph's input ${missing} is missing`);
    return this.execute(program, program.inputs.map((name) => feeds[name]));
  }

  // Values have places; steps read and write them. A Scan's step has the program of its body.
  program(nodes, inputs, outputs) {
    const places = {};
    const first = [];
    const placeOf = (name) => {
      if (!(name in places)) {
        places[name] = first.length;
        first.push(this.constants.get(name));
      }
      return places[name];
    };
    const needed = new Set(outputs);
    const kept = [...nodes].reverse().filter((node) => {
      if (!node.outputs.some((name) => needed.has(name))) return false;
      for (const name of node.inputs) needed.add(name);
      return true;
    });
    const steps = [];
    for (const node of kept.reverse()) {
      if (node.kind !== "Scan" && !(node.kind in OPERATORS)) {
        throw new Error(`operator ${node.kind} is not one that this page computes`);
      }
      const isFixed = node.inputs.every((name) => !name || this.constants.has(name));
      if (isFixed && node.kind !== "Scan") {
        this.fold(node);
        continue;
      }
      steps.push({
        compute: OPERATORS[node.kind],
        attributes: node.attributes,
        body: node.kind === "Scan" ? this.bodyOf(node, needed) : null,
        from: node.inputs.map((name) => (name ? placeOf(name) : -1)),
        to: node.outputs.map((name) => (needed.has(name) ? placeOf(name) : -1)),
      });
    }
    return { places, first, inputs, steps, results: outputs.map(placeOf) };
  }

  fold({ kind, attributes, inputs, outputs }) {
    if (this.constants.has(outputs[0])) return;
    const values = inputs.map((name) => this.constants.get(name));
    const found = OPERATORS[kind](values, attributes, outputs.length, this.tools);
    outputs.forEach((name, i) => this.constants.set(name, found[i]));
  }

  // A body reads its own inputs and constants; of its outputs after the states only some are wanted.
  bodyOf({ attributes: { body, num_scan_inputs: sequences }, inputs, outputs }, needed) {
    const states = inputs.length - sequences;
    const isWanted = outputs.map((name, i) => i < states || needed.has(name));
    const wanted = body.outputs.filter((_, i) => isWanted[i]);
    return { ...this.program(body.nodes, body.inputs, wanted), states, isWanted };
  }

  execute(program, given) {
    const values = program.first.slice();
    program.inputs.forEach((name, i) => {
      if (name in program.places) values[program.places[name]] = given[i];
    });
    for (const { compute, attributes, body, from, to } of program.steps) {
      const inputs = from.map((place) => values[place]);
      const found = body
        ? this.scan(body, inputs)
        : compute(inputs, attributes, to.length, this.tools);
      for (let i = 0; i < to.length; i += 1) if (to[i] >= 0) values[to[i]] = found[i];
    }
    return program.results.map((place) => values[place]);
  }

  // Runs a body over the first axis of its sequences, carrying states.
  scan(body, inputs) {
    let states = inputs.slice(0, body.states);
    const sequences = inputs.slice(body.states);
    const length = sequences[0].shape[0];
    const steps = [];
    for (let t = 0; t < length; t += 1) {
      const found = this.execute(body, [...states, ...sequences.map((each) => rowOf(each, t))]);
      states = found.slice(0, body.states);
      steps.push(found.slice(body.states));
    }
    const stacked = steps[0].map((_, i) => stack(steps.map((step) => step[i])));
    const results = [...states, ...stacked].values();
    return body.isWanted.map((wanted) => (wanted ? results.next().value : null));
  }
}

function rowOf({ data, shape }, index) {
  const rest = shape.slice(1);
  const size = sizeOf(rest);
  return tensor(data.subarray(index * size, (index + 1) * size), rest);
}

function stack(rows) {
  const [{ data: first, shape }] = rows;
  const data = new first.constructor(first.length * rows.length);
  rows.forEach((row, i) => data.set(row.data, i * first.length));
  return tensor(data, [rows.length, ...shape]);
}
