// How much of a gradient is left after a time lag: a cell of each kind reads random inputs, and the
// gradient of its last state goes back through them, by hand. The cells are torch's; first weights by the
// names of src/penstock/nn/initialization.py.
"use strict";

(() => {
  const [INPUT, HIDDEN] = [8, 24];
  const GATES = { rnn: 1, gru: 3, lstm: 4 };
  const MEMORY = 1; // an LSTM's forget gate among its four

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

  const normalFrom = (draw) => () => Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw());
  const matrix = (rows, columns, value) => Array.from({ length: rows }, () => Float64Array.from({ length: columns }, value));
  const dot = (a, b) => a.reduce((total, value, i) => total + value * b[i], 0);
  const times = (m, v) => Float64Array.from(m, (row) => dot(row, v));
  const squares = (v) => dot(v, v);
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));

  function orthogonal(size, normal) {
    const rows = [];
    while (rows.length < size) {
      const row = Float64Array.from({ length: size }, normal);
      for (const other of rows) {
        const along = dot(row, other);
        other.forEach((value, i) => (row[i] -= along * value));
      }
      const length = Math.sqrt(squares(row));
      rows.push(row.map((value) => value / length));
    }
    return rows;
  }

  // {input, hidden, bias}: matrices (gates * H, ...), the recurrent one times `scale`.
  function firstWeights(cell, name, scale, seed) {
    const draw = randomFrom(seed);
    const normal = normalFrom(draw);
    const rows = GATES[cell] * HIDDEN;
    const uniform = (limit) => () => (2 * draw() - 1) * limit;
    const glorot = (columns) => matrix(rows, columns, uniform(Math.sqrt(6 / (rows + columns))));
    const wide = (columns) => ({
      normal: () => matrix(rows, columns, () => 0.01 * normal()),
      uniform: () => matrix(rows, columns, uniform(0.1)),
    })[name]?.() ?? glorot(columns);
    const blocks = () => Array.from({ length: GATES[cell] }, () => orthogonal(HIDDEN, normal)).flat();
    const bias = new Float64Array(rows);
    const input = wide(INPUT);
    const hidden = (name === "orthogonal" ? blocks() : wide(HIDDEN)).map((row) => row.map((value) => scale * value));
    if (cell === "lstm" && ["uniform", "orthogonal"].includes(name)) bias.fill(1, MEMORY * HIDDEN, (MEMORY + 1) * HIDDEN);
    return { input, hidden, bias };
  }

  const inputs = (steps, seed) => matrix(steps, INPUT, normalFrom(randomFrom(seed)));

  function direction(seed) {
    const found = Float64Array.from({ length: HIDDEN }, normalFrom(randomFrom(seed)));
    const length = Math.sqrt(squares(found));
    return found.map((value) => value / length);
  }

  // One step: the next state and what its gradient needs. Gates: r, z, n of a GRU; i, f, g, o of an LSTM.
  const FORWARD = {
    rnn(own, recurrent, before) {
      return { h: own.map((value, i) => Math.tanh(value + recurrent[i])), c: before.c };
    },
    gru(own, recurrent, { h, c }) {
      const gate = (at, j) => sigmoid(own[at * HIDDEN + j] + recurrent[at * HIDDEN + j]);
      const [r, z] = [0, 1].map((at) => h.map((_, j) => gate(at, j)));
      const product = recurrent.slice(2 * HIDDEN);
      const n = h.map((_, j) => Math.tanh(own[2 * HIDDEN + j] + r[j] * product[j]));
      return { h: h.map((value, j) => z[j] * value + (1 - z[j]) * n[j]), c, r, z, n, product };
    },
    lstm(own, recurrent, before) {
      const part = (at, f) => before.h.map((_, j) => f(own[at * HIDDEN + j] + recurrent[at * HIDDEN + j]));
      const [i, f, g, o] = [part(0, sigmoid), part(1, sigmoid), part(2, Math.tanh), part(3, sigmoid)];
      const c = before.c.map((value, j) => f[j] * value + i[j] * g[j]);
      return { h: c.map((value, j) => o[j] * Math.tanh(value)), c, i, f, g, o };
    },
  };

  // The gradient of a step's sums, {input, hidden} (before the bias is split: torch has two, equal but in
  // a GRU's candidate), and what goes past the matrix to the state before: {h, c}.
  const BACKWARD = {
    rnn(step, before, dh) {
      const sums = dh.map((value, j) => value * (1 - step.h[j] ** 2));
      return { input: sums, hidden: sums, past: { h: new Float64Array(HIDDEN), c: before.c } };
    },
    gru({ r, z, n, product }, before, dh) {
      const dn = dh.map((value, j) => value * (1 - z[j]) * (1 - n[j] ** 2));
      const dz = dh.map((value, j) => value * (before.h[j] - n[j]) * z[j] * (1 - z[j]));
      const dr = dn.map((value, j) => value * product[j] * r[j] * (1 - r[j]));
      const join = (last) => Float64Array.from([...dr, ...dz, ...last]);
      const past = { h: dh.map((value, j) => value * z[j]), c: before.c };
      return { input: join(dn), hidden: join(dn.map((value, j) => value * r[j])), past };
    },
    lstm({ i, f, g, o, c }, before, dh, dc) {
      const sums = Float64Array.from([
        ...dc.map((value, j) => value * g[j] * i[j] * (1 - i[j])),
        ...dc.map((value, j) => value * before.c[j] * f[j] * (1 - f[j])),
        ...dc.map((value, j) => value * i[j] * (1 - g[j] ** 2)),
        ...dh.map((value, j) => value * Math.tanh(c[j]) * o[j] * (1 - o[j])),
      ]);
      return { input: sums, hidden: sums, past: { h: new Float64Array(HIDDEN), c: dc.map((value, j) => value * f[j]) } };
    },
  };

  // The norms of the gradient of direction · h_T by the state at T - lag, for each lag from 0 (of an
  // LSTM both parts of the state), and of that by all weights.
  function gradients(cell, weights, data, along) {
    const zero = { h: new Float64Array(HIDDEN), c: new Float64Array(HIDDEN) };
    const steps = [zero];
    for (const x of data) {
      const own = times(weights.input, x).map((value, i) => value + weights.bias[i]);
      steps.push(FORWARD[cell](own, times(weights.hidden, steps.at(-1).h), steps.at(-1)));
    }
    const norms = [];
    let dh = along;
    let dc = new Float64Array(HIDDEN); // what the steps behind ask of c itself
    const rows = GATES[cell] * HIDDEN;
    const [byInput, byHidden] = [matrix(rows, INPUT, () => 0), matrix(rows, HIDDEN, () => 0)];
    const [biases, recurrentBiases] = [new Float64Array(rows), new Float64Array(rows)];
    for (let t = data.length; t > 0; t -= 1) {
      const [step, before] = [steps[t], steps[t - 1]];
      if (cell === "lstm") dc = dc.map((value, j) => value + dh[j] * step.o[j] * (1 - Math.tanh(step.c[j]) ** 2));
      norms.push(Math.sqrt(squares(dh) + squares(dc)));
      const { input, hidden, past } = BACKWARD[cell](step, before, dh, dc);
      for (let row = 0; row < rows; row += 1) {
        data[t - 1].forEach((value, i) => (byInput[row][i] += input[row] * value));
        before.h.forEach((value, i) => (byHidden[row][i] += hidden[row] * value));
        biases[row] += input[row];
        recurrentBiases[row] += hidden[row];
      }
      dh = past.h.map((value, j) => value + weights.hidden.reduce((sum, row, i) => sum + row[j] * hidden[i], 0));
      if (cell === "lstm") dc = past.c;
    }
    const whole = [...byInput, ...byHidden, biases, recurrentBiases].reduce((sum, row) => sum + squares(row), 0);
    return { norms, whole: Math.sqrt(whole) };
  }

  const clipFactor = (whole, limit) => Math.min(1, limit / whole);

  if (typeof module !== "undefined") {
    module.exports = { firstWeights, inputs, direction, gradients, clipFactor, GATES, INPUT, HIDDEN };
    return;
  }

  const WORDS = {
    en: {
      first: "first weights",
      names: [["N(0, 0.01²)", "normal"], ["uniform ±0.1", "uniform"], ["Xavier", "xavier"], ["orthogonal", "orthogonal"]],
      scale: "recurrent weights times",
      steps: "steps",
      lag: "time lag",
      clip: "clip at θ",
      off: "off",
      again: "other weights",
      heads: ["cell", "left at this lag", "left at lag 1", "‖g‖ of all weights", "after clipping"],
      title: (lag) => `|dL/dH(T - lag)| over the time lag, on a scale of powers of ten; the line is lag ${lag}`,
    },
    zh: {
      first: "初始权重",
      names: [["N(0, 0.01²)", "normal"], ["均匀 ±0.1", "uniform"], ["Xavier", "xavier"], ["正交", "orthogonal"]],
      scale: "循环权重乘以",
      steps: "步数",
      lag: "时间间隔",
      clip: "截断于 θ",
      off: "不截断",
      again: "换一组权重",
      heads: ["单元", "此间隔处剩下", "间隔 1 处剩下", "所有权重的 ‖g‖", "截断之后"],
      title: (lag) => `|dL/dH(T - lag)| 随时间间隔的变化，纵轴是十的幂；竖线是间隔 ${lag}`,
    },
  };

  const { make, draw, row, slider, button, choice, table, plot, legend } = window.live;
  const CELLS = { rnn: "RNN", gru: "GRU", lstm: "LSTM" };
  const [FLOOR, CEILING] = [-12, 8]; // powers of ten shown
  const SHARPEST = 2; // power of ten at which the slider says: no clipping
  const scientific = (value) => (value === 0 ? "0" : value >= 0.01 && value < 1000 ? value.toPrecision(3) : value.toExponential(1));

  class LiveLag extends window.live.Figure {
    static WORDS = WORDS;

    build(words) {
      const show = () => this.show();
      this.seed = 1;
      this.first = choice(words.first, words.names, "orthogonal", show);
      this.scale = slider(words.scale, { min: -1, max: 1, step: 0.05, value: 0, text: (x) => (10 ** x).toFixed(2) }, show);
      this.steps = slider(words.steps, { min: 10, max: 200, step: 5, value: 60, text: String }, () => {
        this.lag.input.max = this.steps.value - 1;
        this.lag.set(Math.min(this.lag.value, this.steps.value - 1));
        show();
      });
      this.lag = slider(words.lag, { min: 0, max: 59, step: 1, value: 40, text: String }, show);
      const text = (x) => (x >= SHARPEST ? words.off : (10 ** x).toPrecision(2));
      this.clip = slider(words.clip, { min: -2, max: SHARPEST, step: 0.1, value: SHARPEST, text }, show);
      this.picture = make("div");
      this.said = make("div");
      const again = button(words.again, () => {
        this.seed += 1;
        this.show();
      });
      return [
        this.first.node,
        row(again),
        ...[this.scale, this.steps, this.lag, this.clip].map(({ node }) => node),
        this.picture,
        legend(Object.fromEntries(Object.values(CELLS).map((name, i) => [`series-${i}`, name]))),
        this.said,
      ];
    }

    show() {
      const { words } = this;
      const [steps, lag] = [this.steps.value, this.lag.value];
      const limit = this.clip.value >= SHARPEST ? Infinity : 10 ** this.clip.value;
      const found = Object.entries(CELLS).map(([cell, name]) => {
        const weights = firstWeights(cell, this.first.value, 10 ** this.scale.value, this.seed);
        const { norms, whole } = gradients(cell, weights, inputs(steps, 1000 + this.seed), direction(2000 + this.seed));
        const factor = clipFactor(whole, limit);
        return { name, whole, clipped: whole * factor, norms: norms.map((norm) => norm * factor) };
      });
      const power = (value) => Math.min(CEILING, Math.max(FLOOR, Math.log10(value)));
      const lines = found.map(({ norms }, i) => ({
        className: `series-${i}`,
        points: norms.map((norm, at) => [at, power(norm)]),
      }));
      const ticks = [0, 0.5, 1].map((share) => Math.round(share * (steps - 1)));
      this.picture.replaceChildren(plot({
        width: this.room,
        height: 220,
        x: { from: 0, to: steps - 1, ticks: ticks.map((value) => [value, String(value)]) },
        y: { from: FLOOR, to: CEILING, ticks: [-12, -8, -4, 0, 4, 8].map((value) => [value, `1e${value}`]) },
        lines,
        said: words.title(lag),
        more: (across, up) => [draw("line", { class: "mark", x1: across(lag), x2: across(lag), y1: up(FLOOR), y2: up(CEILING) })],
      }));
      const rows = found.map(({ name, norms, whole, clipped }) => ({
        cells: [name, ...[norms[lag], norms[1], whole, clipped].map(scientific)],
      }));
      this.said.replaceChildren(make("p", {}, words.title(lag)), table(words.heads, rows));
    }
  }

  customElements.define("live-lag", LiveLag);
})();
