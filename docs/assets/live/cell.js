// A cell of one unit whose gates the reader holds: the state over a short sequence of inputs.
// The equations are those of src/penstock/nn/cells (gru.py, lstm.py), with the gates given.
"use strict";

(() => {
  const INPUTS = [1, 0, 0, -0.5, 0, 0, 0.8, 0, 0, 0];
  const INPUT_WEIGHT = 1.5;
  const STATE_WEIGHT = 1.2;
  const START = 0.7; // of the state, and of an LSTM's memory

  const WORDS = {
    en: {
      legend: "bars: inputs · orange: candidate · line: state",
      step: "step",
      gru: { reset: "reset R", update: "update Z" },
      lstm: { input: "input I", forget: "forget F", output: "output O" },
      examples: {
        gru: [
          ["a plain RNN", [1, 0]],
          ["keeps its state, ignores the input", [1, 1]],
          ["forgets: reads only the input", [0, 0]],
          ["a slow mean", [1, 0.8]],
        ],
        lstm: [
          ["a counter", [1, 1, 1]],
          ["keeps its memory, ignores the input", [0, 1, 1]],
          ["almost a plain RNN", [1, 0, 1]],
          ["remembers in secret", [1, 1, 0]],
        ],
      },
    },
    zh: {
      legend: "柱：输入 · 橙色：候选 · 线：状态",
      step: "步",
      gru: { reset: "重置 R", update: "更新 Z" },
      lstm: { input: "输入 I", forget: "遗忘 F", output: "输出 O" },
      examples: {
        gru: [
          ["普通的 RNN", [1, 0]],
          ["保持状态，忽略输入", [1, 1]],
          ["遗忘：只读输入", [0, 0]],
          ["缓慢的平均", [1, 0.8]],
        ],
        lstm: [
          ["计数器", [1, 1, 1]],
          ["保持记忆，忽略输入", [0, 1, 1]],
          ["近似普通的 RNN", [1, 0, 1]],
          ["暗中记住", [1, 1, 0]],
        ],
      },
    },
  };

  // For each input the candidate and the state behind it, and an LSTM's memory.
  const STEPS = {
    gru([reset, update], inputs) {
      let state = START;
      return inputs.map((input) => {
        const candidate = Math.tanh(INPUT_WEIGHT * input + STATE_WEIGHT * (reset * state));
        state = update * state + (1 - update) * candidate;
        return { candidate, state };
      });
    },
    lstm([input_, forget, output], inputs) {
      let state = START;
      let memory = START;
      return inputs.map((input) => {
        const candidate = Math.tanh(INPUT_WEIGHT * input + STATE_WEIGHT * state);
        memory = forget * memory + input_ * candidate;
        state = output * Math.tanh(memory);
        return { candidate, state, memory };
      });
    },
  };

  if (typeof module !== "undefined") {
    module.exports = { STEPS, INPUTS, INPUT_WEIGHT, STATE_WEIGHT, START };
    return;
  }

  const SVG = "http://www.w3.org/2000/svg";

  function make(tag, properties = {}, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  }

  function draw(tag, attributes = {}, ...children) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  class LiveCell extends HTMLElement {
    connectedCallback() {
      const cell = this.getAttribute("cell");
      const words = WORDS[this.lang] ?? WORDS.en;
      const examples = words.examples[cell];
      this.words = words;
      this.step = STEPS[cell];
      this.gates = examples[0][1].map((value) =>
        make("input", { type: "range", min: 0, max: 1, step: 0.01, value, oninput: () => this.show() }),
      );
      this.values = this.gates.map(() => make("output"));
      const rows = Object.values(words[cell]).map((name, i) =>
        make("div", { className: "live-row" }, make("label", {}, make("span", {}, name), this.gates[i]), this.values[i]),
      );
      const buttons = examples.map(([name, values]) =>
        make("button", {
          type: "button",
          textContent: name,
          onclick: () => {
            this.gates.forEach((gate, i) => (gate.value = values[i]));
            this.show();
          },
        }),
      );
      this.picture = make("div");
      this.replaceChildren(...rows, make("div", { className: "live-row" }, ...buttons), this.picture, make("p", {}, words.legend));
      this.show();
    }

    show() {
      const gates = this.gates.map((gate) => Number(gate.value));
      gates.forEach((value, i) => (this.values[i].textContent = value.toFixed(2)));
      const steps = this.step(gates, INPUTS);
      const width = 480;
      const x = (i) => 30 + (i * (width - 50)) / (INPUTS.length - 1);
      const y = (value) => 80 - 65 * value;
      const bars = INPUTS.map((input, i) =>
        draw("rect", { class: "input", x: x(i) - 8, width: 16, y: Math.min(y(input), y(0)), height: Math.abs(y(input) - y(0)) }),
      );
      const lines = [-1, 0, 1].map((value) => draw("line", { class: "axis", x1: 20, x2: width - 10, y1: y(value), y2: y(value) }));
      const names = [-1, 0, 1].map((value) => draw("text", { x: 2, y: y(value) + 4 }, String(value)));
      const path = draw("polyline", { class: "state", points: steps.map(({ state }, i) => `${x(i)},${y(state)}`).join(" ") });
      const points = steps.flatMap(({ candidate, state }, i) => [
        draw("circle", { class: "candidate", cx: x(i), cy: y(candidate), r: 3.5 }),
        draw("circle", { class: "point", cx: x(i), cy: y(state), r: 4.5 }),
      ]);
      const said = steps.map(({ state }, i) => `${this.words.step} ${i + 1}: ${state.toFixed(2)}`).join(", ");
      const description = draw("title", {}, said);
      this.picture.replaceChildren(
        draw("svg", { viewBox: `0 0 ${width} 160`, role: "img", "aria-label": said }, description, ...lines, ...names, ...bars, path, ...points),
      );
    }
  }

  customElements.define("live-cell", LiveCell);
})();
