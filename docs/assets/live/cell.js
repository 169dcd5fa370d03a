// A cell of one unit whose gates the reader holds: the state over a short sequence of inputs.
// The equations are those of src/penstock/nn/cells (gru.py, lstm.py), with the gates given.
"use strict";

(() => {
  const INPUTS = [1, 0, 0, -0.5, 0, 0, 0.8, 0, 0, 0];
  const INPUT_WEIGHT = 1.5;
  const STATE_WEIGHT = 1.2;
  const START = 0.7; // of the state, and of an LSTM's memory
  const STARTS = [0.9, 0.1, -0.8]; // of <live-cell starts>: do they meet?

  const WORDS = {
    en: {
      legend: "bars: inputs · orange: candidate · line: state",
      three: "bars: inputs · lines: the state from three starts",
      apart: (distances) => `Largest distance between two of them: ${distances}`,
      after: (n, distance) => `${distance} after step ${n}`,
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
      three: "柱：输入 · 线：从三个起点出发的状态",
      apart: (distances) => `它们之间的最大距离：${distances}`,
      after: (n, distance) => `第 ${n} 步之后 ${distance}`,
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
    gru([reset, update], inputs, start = START) {
      let state = start;
      return inputs.map((input) => {
        const candidate = Math.tanh(INPUT_WEIGHT * input + STATE_WEIGHT * (reset * state));
        state = update * state + (1 - update) * candidate;
        return { candidate, state };
      });
    },
    lstm([input_, forget, output], inputs, start = START) {
      let state = start;
      let memory = start;
      return inputs.map((input) => {
        const candidate = Math.tanh(INPUT_WEIGHT * input + STATE_WEIGHT * state);
        memory = forget * memory + input_ * candidate;
        state = output * Math.tanh(memory);
        return { candidate, state, memory };
      });
    },
  };

  if (typeof module !== "undefined") {
    module.exports = { STEPS, STARTS, INPUTS, INPUT_WEIGHT, STATE_WEIGHT, START };
    return;
  }

  const { make, draw, drawing, slider, buttons } = window.live;

  class LiveCell extends window.live.Figure {
    static WORDS = WORDS;

    build(words) {
      const cell = this.getAttribute("cell");
      const examples = words.examples[cell];
      this.steps = STEPS[cell];
      this.starts = this.hasAttribute("starts") ? STARTS : [START];
      this.gates = Object.values(words[cell]).map((name, i) => slider(name, { value: examples[0][1][i] }, () => this.show()));
      this.picture = make("div");
      this.distance = make("p", { ariaLive: "polite" });
      return [
        ...this.gates.map(({ node }) => node),
        buttons(examples, (values) => {
          this.gates.forEach((gate, i) => gate.set(values[i]));
          this.show();
        }),
        this.picture,
        make("p", {}, this.starts.length > 1 ? words.three : words.legend),
        ...(this.starts.length > 1 ? [this.distance] : []),
      ];
    }

    show() {
      const gates = this.gates.map(({ value }) => value);
      const runs = this.starts.map((start) => this.steps(gates, INPUTS, start));
      const width = this.room;
      const x = (i) => 30 + (i * (width - 50)) / (INPUTS.length - 1);
      const y = (value) => 80 - 65 * value;
      const bars = INPUTS.map((input, i) =>
        draw("rect", { class: "input", x: x(i) - 8, width: 16, y: Math.min(y(input), y(0)), height: Math.abs(y(input) - y(0)) }),
      );
      const lines = [-1, 0, 1].map((value) => draw("line", { class: "axis", x1: 20, x2: width - 10, y1: y(value), y2: y(value) }));
      const names = [-1, 0, 1].map((value) => draw("text", { x: 2, y: y(value) + 4 }, String(value)));
      const parts = runs.flatMap((steps, run) => [
        draw("polyline", { class: `line series-${run}`, points: steps.map(({ state }, i) => `${x(i)},${y(state)}`).join(" ") }),
        ...steps.flatMap(({ candidate, state }, i) => [
          ...(runs.length > 1 ? [] : [draw("circle", { class: "candidate", cx: x(i), cy: y(candidate), r: 3.5 })]),
          draw("circle", { class: `dot series-${run}`, cx: x(i), cy: y(state), r: 4.5 }),
        ]),
      ]);
      const { words } = this;
      const said = runs[0].map(({ state }, i) => `${words.step} ${i + 1}: ${state.toFixed(2)}`).join(", ");
      this.picture.replaceChildren(drawing(width, 160, said, ...lines, ...names, ...bars, ...parts));
      const apart = [1, 3, 10].map((n) => {
        const states = runs.map((steps) => steps[n - 1].state);
        return words.after(n, (Math.max(...states) - Math.min(...states)).toFixed(3));
      });
      this.distance.textContent = words.apart(apart.join(", "));
    }
  }

  customElements.define("live-cell", LiveCell);
})();
