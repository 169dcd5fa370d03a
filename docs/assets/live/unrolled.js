// Recurrent networks unrolled over a few steps: what a chosen value is computed from, and what is
// computed from it. An edge is what src/penstock/tasks/unrolled_graph.py draws: a flow of information.
"use strict";

(() => {
  const STEPS = 5;

  // Nodes {name, kind, layer, step} in order of layers, and edges [from, to]. x: input, f and b: states from
  // the left and from the right, o: output.
  //
  // deep: layers from the left; both: each layer reads both directions of the one below; stacks: two stacks
  // that meet at the outputs, which read the states beside them (a cloze); mistake: the same outputs over
  // layers of both directions.
  function network(kind, layers, steps = STEPS) {
    const [nodes, edges] = [[], []];
    const directions = kind === "deep" ? ["f"] : ["f", "b"];
    const at = Array.from({ length: steps }, (_, t) => t + 1);
    const add = (letter, layer, step) => nodes.push({ name: `${letter}${layer}.${step}`, kind: letter, layer, step });
    const join = (from, layer, step, to) => {
      if (step >= 1 && step <= steps) edges.push([`${from}${layer}.${step}`, to]);
    };
    at.forEach((t) => add("x", 0, t));
    for (let layer = 1; layer <= layers; layer += 1) {
      for (const t of at) {
        for (const own of directions) {
          add(own, layer, t);
          const name = `${own}${layer}.${t}`;
          join(own, layer, own === "f" ? t - 1 : t + 1, name);
          const below = layer === 1 ? ["x"] : kind === "stacks" ? [own] : directions;
          for (const each of below) join(each, layer - 1, t, name);
        }
      }
    }
    const isBlank = kind === "stacks" || kind === "mistake";
    for (const t of at) {
      add("o", layers + 1, t);
      join("f", layers, isBlank ? t - 1 : t, `o${layers + 1}.${t}`);
      if (kind !== "deep") join("b", layers, isBlank ? t + 1 : t, `o${layers + 1}.${t}`);
    }
    return { nodes, edges };
  }

  // All that leads to a node, or with `ahead` all that it leads to.
  function reach({ edges }, name, ahead = false) {
    const found = new Set();
    const waiting = [name];
    while (waiting.length) {
      const at = waiting.pop();
      for (const [from, to] of edges) {
        const [near, far] = ahead ? [from, to] : [to, from];
        if (near === at && !found.has(far)) {
          found.add(far);
          waiting.push(far);
        }
      }
    }
    return found;
  }

  if (typeof module !== "undefined") {
    module.exports = { network, reach: (graph, name, ahead) => [...reach(graph, name, ahead)] };
    return;
  }

  const WORDS = {
    en: {
      layers: "layers",
      row: "row",
      step: "step",
      kinds: [["both directions", "both"], ["two stacks, a blank", "stacks"], ["both directions, a blank", "mistake"]],
      ways: [["what it is computed from", false], ["what is computed from it", true]],
      rows: { x: "inputs", f: (l) => `layer ${l}`, b: (l) => `layer ${l}, from the right`, o: "outputs" },
      names: { x: (t) => `X${t}`, f: (t, l) => `H${t} of layer ${l}`, b: (t, l) => `H${t} of layer ${l} from the right`, o: (t) => `O${t}` },
      back: (name, inputs, states) => `${name} is computed from ${inputs || "no input"}, by way of ${states} states.`,
      ahead: (name, outputs, states) => `${name} is read by ${outputs || "no output"}, by way of ${states} states.`,
      leak: (t) => ` The answer X${t} is among them: the blank is no blank.`,
      safe: (t) => ` The answer X${t} is not among them.`,
      legend: { "node-best": "chosen", "node-kept": "depends", "node-unseen": "does not" },
    },
    zh: {
      layers: "层数",
      row: "行",
      step: "步",
      kinds: [["双向", "both"], ["两个栈，填空", "stacks"], ["双向，填空", "mistake"]],
      ways: [["它由什么算出", false], ["什么由它算出", true]],
      rows: { x: "输入", f: (l) => `第 ${l} 层`, b: (l) => `第 ${l} 层，从右边来`, o: "输出" },
      names: { x: (t) => `X${t}`, f: (t, l) => `第 ${l} 层的 H${t}`, b: (t, l) => `第 ${l} 层从右边来的 H${t}`, o: (t) => `O${t}` },
      back: (name, inputs, states) => `${name} 由 ${inputs || "没有任何输入"} 算出，途经 ${states} 个状态。`,
      ahead: (name, outputs, states) => `${outputs || "没有输出"} 读到 ${name}，途经 ${states} 个状态。`,
      leak: (t) => `答案 X${t} 也在其中：空格形同虚设。`,
      safe: (t) => `答案 X${t} 不在其中。`,
      legend: { "node-best": "选中的", "node-kept": "有依赖", "node-unseen": "没有依赖" },
    },
  };

  const { make, draw, slider, choice, legend } = window.live;
  const LEVEL = 52;

  class LiveUnrolled extends window.live.Figure {
    static WORDS = WORDS;

    build(words) {
      const show = () => this.show();
      this.isDeep = this.getAttribute("kind") === "deep";
      this.kind = choice("", words.kinds, this.isDeep ? "deep" : "stacks", show);
      this.way = choice("", words.ways, false, show);
      this.layers = slider(words.layers, { min: 1, max: 4, step: 1, value: this.isDeep ? 3 : 2, text: String }, () => {
        this.row.input.max = this.rows().length - 1;
        this.row.set(this.rows().length - 1);
        show();
      });
      this.row = slider(words.row, { min: 0, max: 99, step: 1, value: 99, text: (i) => this.rowName(i) }, show);
      this.step = slider(words.step, { min: 1, max: STEPS, step: 1, value: 3, text: String }, show);
      this.said = make("p", { ariaLive: "polite" });
      this.picture = make("div");
      return [
        ...(this.isDeep ? [] : [this.kind.node]),
        this.way.node,
        this.layers.node,
        this.row.node,
        this.step.node,
        this.picture,
        legend(words.legend),
        this.said,
      ];
    }

    // [letter, layer] from below.
    rows() {
      const layers = Array.from({ length: this.layers?.value ?? 2 }, (_, i) => i + 1);
      const own = layers.flatMap((layer) => (this.isDeep ? ["f"] : ["f", "b"]).map((letter) => [letter, layer]));
      return [["x", 0], ...own, ["o", layers.length + 1]];
    }

    rowName(i) {
      const [letter, layer] = this.rows()[Math.min(i, this.rows().length - 1)];
      const name = this.words.rows[letter];
      return typeof name === "string" ? name : name(layer);
    }

    show() {
      const { words } = this;
      const rows = this.rows();
      this.row.input.max = rows.length - 1;
      this.row.set(Math.min(this.row.value, rows.length - 1));
      const [letter, layer] = rows[this.row.value];
      const step = this.step.value;
      const graph = network(this.kind.value, this.layers.value);
      const name = `${letter}${layer}.${step}`;
      const ahead = this.way.value;
      const reached = reach(graph, name, ahead);
      const of = (kinds) => graph.nodes.filter((node) => reached.has(node.name) && kinds.includes(node.kind));
      const ends = of(ahead ? "o" : "x").map((node) => words.names[node.kind](node.step)).join(", ");
      const isBlank = letter === "o" && !ahead && ["stacks", "mistake"].includes(this.kind.value);
      const own = words.names[letter](step, layer);
      const verdict = isBlank ? words[reached.has(`x0.${step}`) ? "leak" : "safe"](step) : "";
      this.said.textContent = words[ahead ? "ahead" : "back"](own, ends, of("fb").length) + verdict;
      this.picture.replaceChildren(this.drawn(graph, name, reached));
    }

    drawn({ nodes, edges }, chosen, reached) {
      const top = this.layers.value + 1;
      const column = this.room / STEPS;
      const place = ({ kind, layer, step }) => {
        const aside = this.isDeep || kind === "x" || kind === "o" ? 0 : kind === "f" ? -0.2 : 0.2;
        const up = kind === "b" ? 0.32 : 0;
        return [column * (step - 0.5 + aside), 22 + LEVEL * (top - layer - up)];
      };
      const places = new Map(nodes.map((node) => [node.name, place(node)]));
      const isOn = (name) => name === chosen || reached.has(name);
      const lines = edges.map(([from, to]) => {
        const [[x1, y1], [x2, y2]] = [places.get(from), places.get(to)];
        return draw("line", { class: `edge ${isOn(from) && isOn(to) ? "edge-kept" : ""}`, x1, y1, x2, y2 });
      });
      const drawn = nodes.map((node) => {
        const [cx, cy] = places.get(node.name);
        const state = node.name === chosen ? "best" : reached.has(node.name) ? "kept" : "unseen";
        const circle = draw("circle", { class: `node node-${state} pick`, cx, cy, r: 9 });
        circle.addEventListener("click", () => {
          this.row.set(this.rows().findIndex(([letter, layer]) => letter === node.kind && layer === node.layer));
          this.step.set(node.step);
          this.show();
        });
        return circle;
      });
      const names = nodes.filter(({ kind }) => "xo".includes(kind)).map((node) => {
        const [x, y] = places.get(node.name);
        return draw("text", { x, y: y + (node.kind === "x" ? 24 : -13), "text-anchor": "middle" }, this.words.names[node.kind](node.step));
      });
      const height = 22 + LEVEL * top + 30;
      return window.live.drawing(this.room, height, this.said.textContent, ...lines, ...drawn, ...names);
    }
  }

  customElements.define("live-unrolled", LiveUnrolled);
})();
