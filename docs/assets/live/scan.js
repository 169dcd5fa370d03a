// A moving average as a scan: positions join those 1, 2, 4 … before them (examples/parallel_recurrence.py).
"use strict";

(() => {
  const MOST = 16; // positions
  // The steps h -> a h + b of a cell: a is its forget gate, b the rest of its candidate.
  const stepsOf = (gates, candidates) => gates.map((f, t) => [f, (1 - f) * (candidates[t] ?? 0)]);
  const combine = ([a1, b1], [a2, b2]) => [a2 * a1, a2 * b1 + b2];

  // All states from 0, one after the other.
  function loop(steps) {
    let state = 0;
    return steps.map(([a, b]) => (state = a * state + b));
  }

  // The steps after each round; behind the last one, b is the state.
  function doubling(steps) {
    const rounds = [steps];
    for (let distance = 1; distance < steps.length; distance *= 2) {
      const before = rounds.at(-1);
      rounds.push(before.map((own, t) => (t < distance ? own : combine(before[t - distance], own))));
    }
    return rounds;
  }

  const numbers = (text) => text.split(/[\s,;]+/).filter(Boolean).map(Number).filter(Number.isFinite);

  if (typeof module !== "undefined") {
    module.exports = { stepsOf, loop, doubling, numbers };
    return;
  }

  const EXAMPLES = {
    mean: ["0.5 0.5 0.5 0.5 0.5 0.5 0.5 0.5", "1 0 0 -1 0 0 2 0"],
    keep: ["0 1 1 1 1 1 1 1", "1 0 0 0 0 0 0 0"],
    last: ["0 1 1 0 1 1 1 1", "1 9 9 0 9 9 9 9"],
  };
  const WORDS = {
    en: {
      gates: "forget gates F",
      candidates: "candidates C̃",
      round: "rounds done",
      position: "position",
      examples: { mean: "a moving average", keep: "keep the first", last: "keep the last symbol" },
      said: (position, from, round, rounds, steps) =>
        `After round ${round} of ${rounds}, position ${position} holds positions ${from} to ${position} as one step. A loop takes ${steps} steps.`,
      distance: (value) => `Largest distance to the loop's states: ${value}.`,
      heads: ["position", "F", "C̃", "a", "b", "state by a loop"],
      empty: "Give gates and candidates as numbers.",
      range: (n) => `Gates lie between 0 and 1; at most ${n} positions are read.`,
      start: "steps",
      rounds: (n) => `round ${n}`,
    },
    zh: {
      gates: "遗忘门 F",
      candidates: "候选 C̃",
      round: "已做轮数",
      position: "位置",
      examples: { mean: "滑动平均", keep: "保留第一个", last: "保留最近的符号" },
      said: (position, from, round, rounds, steps) =>
        `${rounds} 轮中的第 ${round} 轮之后，位置 ${position} 把位置 ${from} 到 ${position} 合成一步。循环要 ${steps} 步。`,
      distance: (value) => `与循环得到的状态的最大距离：${value}。`,
      heads: ["位置", "F", "C̃", "a", "b", "循环得到的状态"],
      empty: "请用数字写出门和候选。",
      range: (n) => `门在 0 和 1 之间；最多读 ${n} 个位置。`,
      start: "各步",
      rounds: (n) => `第 ${n} 轮`,
    },
  };

  const { make, draw, drawing, labelled, slider, textField, buttons, table } = window.live;
  const LEVEL = 56;

  class LiveScan extends window.live.Figure {
    static WORDS = WORDS;

    build(words) {
      const show = () => this.show();
      [this.gates, this.candidates] = EXAMPLES.mean.map((text) => textField(text, show));
      this.round = slider(words.round, { min: 0, max: 3, step: 1, value: 3, text: String }, show);
      this.position = slider(words.position, { min: 1, max: 8, step: 1, value: 7, text: String }, show);
      this.said = make("p", { ariaLive: "polite" });
      this.found = make("div");
      return [
        labelled(words.gates, this.gates),
        labelled(words.candidates, this.candidates),
        buttons(Object.entries(EXAMPLES).map(([name, texts]) => [words.examples[name], texts]), (texts) => {
          [this.gates.value, this.candidates.value] = texts;
          this.show();
        }),
        this.round.node,
        this.position.node,
        this.said,
        this.found,
      ];
    }

    show() {
      const { words } = this;
      const given = numbers(this.gates.value);
      const gates = given.slice(0, MOST).map((f) => Math.min(1, Math.max(0, f)));
      const candidates = numbers(this.candidates.value);
      if (!gates.length) {
        this.said.textContent = words.empty;
        this.found.replaceChildren();
        return;
      }
      const rounds = doubling(stepsOf(gates, candidates));
      const states = loop(rounds[0]);
      this.round.input.max = rounds.length - 1;
      this.position.input.max = gates.length;
      for (const each of [this.round, this.position]) each.set(each.value);
      const [round, at] = [this.round.value, this.position.value - 1];
      const from = Math.max(0, at - 2 ** round + 1);
      const distance = Math.max(...states.map((state, t) => Math.abs(state - rounds.at(-1)[t][1])));
      const isOdd = given.length > MOST || given.some((f) => f < 0 || f > 1);
      this.said.textContent = [
        words.said(at + 1, from + 1, round, rounds.length - 1, gates.length),
        words.distance(distance === 0 ? "0" : distance.toExponential(0)),
        ...(isOdd ? [words.range(MOST)] : []),
      ].join(" ");
      const rows = states.map((state, t) => ({
        cells: [String(t + 1), ...[gates[t], candidates[t] ?? 0, ...rounds[round][t], state].map((x) => String(Number(x.toFixed(4))))],
        className: t === at ? "chosen" : "",
      }));
      this.found.replaceChildren(this.drawn(rounds, round, at), table(words.heads, rows));
    }

    // A dot for each position behind each round; what the chosen one was made from is lit.
    drawn(rounds, last, at) {
      const size = rounds[0].length;
      const left = 64;
      const x = (t) => left + (t + 0.5) * ((this.room - left) / size);
      const y = (round) => 24 + LEVEL * round;
      const lit = new Set([`${last} ${at}`]);
      const lines = [];
      for (let round = last; round > 0; round -= 1) {
        for (let t = 0; t < size; t += 1) {
          const isLit = lit.has(`${round} ${t}`);
          for (const source of [t, t - 2 ** (round - 1)].filter((each) => each >= 0)) {
            if (isLit) lit.add(`${round - 1} ${source}`);
            lines.push(draw("line", { class: `edge ${isLit ? "edge-kept" : ""}`, x1: x(source), y1: y(round - 1), x2: x(t), y2: y(round) }));
          }
        }
      }
      const dots = rounds.flatMap((steps, round) => steps.map((_, t) => {
        const isLit = lit.has(`${round} ${t}`);
        const state = round === last && t === at ? "best" : isLit ? "kept" : round <= last ? "scored" : "unseen";
        const dot = draw("circle", { class: `node node-${state} pick`, cx: x(t), cy: y(round), r: 6 });
        dot.addEventListener("click", () => {
          this.round.set(round);
          this.position.set(t + 1);
          this.show();
        });
        return dot;
      }));
      const { words } = this;
      const names = rounds.map((_, round) => draw("text", { x: 0, y: y(round) + 4 }, round ? words.rounds(round) : words.start));
      const values = rounds[last].map(([, b], t) => draw("text", { x: x(t), y: y(last) + 22, "text-anchor": "middle" }, x(1) - x(0) >= 34 ? b.toFixed(2) : ""));
      return drawing(this.room, y(rounds.length - 1) + 32, this.said.textContent, ...lines, ...dots, ...names, ...values);
    }
  }

  customElements.define("live-scan", LiveScan);
})();
