// A language model of characters that learns in the page: one GRU layer (torch's form), truncated
// backpropagation by hand, Adam with clipping. A worker computes, so that the page stays quick.
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

  if (typeof module !== "undefined") {
    module.exports = engine();
    return;
  }

  // In the worker: trains in turns between which it hears what the page says.
  function serve({ create, update, heldOutPerplexity, unigramPerplexity, sample }) {
    const [TURN, SCORED, SHOWN] = [60, 1000, 160]; // ms, ms, characters
    let [model, settings, isRunning, scoredAt] = [null, null, false, 0];
    function turn() {
      if (!isRunning) return;
      const begun = performance.now();
      const losses = [];
      while (performance.now() - begun < TURN) losses.push(update(model, settings.rate));
      const told = { updates: model.updates, losses };
      if (performance.now() - scoredAt > SCORED) {
        told.heldOut = heldOutPerplexity(model);
        told.sample = sample(model, SHOWN, settings.temperature);
        scoredAt = performance.now();
      }
      self.postMessage(told);
      setTimeout(turn);
    }
    self.onmessage = ({ data }) => {
      ({ settings } = data);
      if (data.text !== undefined) {
        model = create(data.text, data.hidden, 1);
        const weights = Object.values(model.weights).reduce((sum, { length }) => sum + length, 0);
        const { train, heldOut, vocabulary } = model;
        self.postMessage({ weights, characters: vocabulary.length, train: train.length, heldOutLength: heldOut.length, unigram: unigramPerplexity(model) });
      }
      const wasRunning = isRunning;
      isRunning = data.isRunning;
      if (isRunning && !wasRunning) turn();
    };
  }

  const LEAST = 100; // characters
  const TEXT = `The Time Traveller (for so it will be convenient to speak of him) was expounding a recondite matter to us. His grey eyes shone and twinkled, and his usually pale face was flushed and animated. The fire burned brightly, and the soft radiance of the incandescent lights in the lilies of silver caught the bubbles that flashed and passed in our glasses. Our chairs, being his patents, embraced and caressed us rather than submitted to be sat upon, and there was that luxurious after-dinner atmosphere when thought roams gracefully free of the trammels of precision. And he put it to us in this way—marking the points with a lean forefinger—as we sat and lazily admired his earnestness over this new paradox (as we thought it) and his fecundity.

"You must follow me carefully. I shall have to controvert one or two ideas that are almost universally accepted. The geometry, for instance, they taught you at school is founded on a misconception."

"Is not that rather a large thing to expect us to begin upon?" said Filby, an argumentative person with red hair.

"I do not mean to ask you to accept anything without reasonable ground for it. You will soon admit as much as I need from you. You know of course that a mathematical line, a line of thickness nil, has no real existence. They taught you that? Neither has a mathematical plane. These things are mere abstractions."`;

  const WORDS = {
    en: {
      text: "Text to learn; paste your own",
      source: "H. G. Wells, The Time Machine, 1895",
      hidden: "units",
      rate: "learning rate",
      temperature: "temperature",
      start: "Start",
      pause: "Pause",
      reset: "Reset",
      short: (n) => `At least ${n} characters are needed.`,
      ready: ({ train, heldOutLength, characters }) => `${train} characters to learn, the last ${heldOutLength} held out; ${characters} different ones.`,
      doing: (updates, speed, training, heldOut, unigram) => `${updates} updates, ${speed} a second. Perplexity: training ${training}, held out ${heldOut}, letter frequencies alone ${unigram}.`,
      sample: "What it writes now",
      legend: { "series-0": "training", "series-1": "held out", "series-2": "letter frequencies alone" },
      said: "Perplexity over updates",
      failed: "This browser starts no worker here.",
    },
    zh: {
      text: "要学的文本；也可以粘贴你自己的",
      source: "H. G. 威尔斯《时间机器》，1895",
      hidden: "单元数",
      rate: "学习率",
      temperature: "温度",
      start: "开始",
      pause: "暂停",
      reset: "重来",
      short: (n) => `至少需要 ${n} 个字符。`,
      ready: ({ train, heldOutLength, characters }) => `学习 ${train} 个字符，留出最后 ${heldOutLength} 个；共有 ${characters} 种字符。`,
      doing: (updates, speed, training, heldOut, unigram) => `更新 ${updates} 次，每秒 ${speed} 次。困惑度：训练 ${training}，留出 ${heldOut}，只看字母频率 ${unigram}。`,
      sample: "它现在写的",
      legend: { "series-0": "训练", "series-1": "留出", "series-2": "只看字母频率" },
      said: "困惑度随更新次数的变化",
      failed: "这个浏览器在这里不能启动 worker。",
    },
  };

  const { make, labelled, row, slider, button, textArea, plot, legend } = window.live;

  class LiveTraining extends window.live.Figure {
    static WORDS = WORDS;

    build(words) {
      const tell = () => this.worker?.postMessage(this.settings());
      this.text = textArea(TEXT, () => this.reset(), { rows: 6 });
      this.units = slider(words.hidden, { min: 16, max: 256, step: 16, value: 64, text: String }, () => this.reset());
      this.rate = slider(words.rate, { min: -3.5, max: -1, step: 0.1, value: -2, text: (x) => (10 ** x).toPrecision(2) }, tell);
      this.temperature = slider(words.temperature, { min: 0.1, max: 2, step: 0.1, value: 0.7, text: (x) => x.toFixed(1) }, tell);
      this.toggle = button(words.start, () => (this.isRunning ? this.pause() : this.begin()));
      this.status = make("p");
      this.picture = make("div");
      this.written = make("p", { className: "live-written", dir: "auto" });
      document.addEventListener("visibilitychange", () => document.hidden && this.pause());
      this.clear();
      return [
        labelled(words.text, this.text),
        make("p", {}, make("small", {}, words.source)),
        ...[this.units, this.rate, this.temperature].map(({ node }) => node),
        row(this.toggle, button(words.reset, () => this.reset())),
        this.status,
        this.picture,
        legend(words.legend),
        make("p", {}, make("b", {}, words.sample)),
        this.written,
      ];
    }

    disconnectedCallback() {
      this.reset();
    }

    settings() {
      return { isRunning: this.isRunning, settings: { rate: 10 ** this.rate.value, temperature: this.temperature.value } };
    }

    clear() {
      Object.assign(this, { isRunning: false, about: null, updates: 0, curve: [], heldOut: [], speed: 0, mean: null, wrote: "" });
    }

    begin() {
      const characters = Array.from(this.text.value);
      if (characters.length < LEAST) {
        this.status.textContent = this.words.short(LEAST);
        return;
      }
      this.isRunning = true;
      this.begun = { at: performance.now(), updates: this.updates };
      if (this.worker) this.worker.postMessage(this.settings());
      else this.startWorker();
      this.show();
    }

    startWorker() {
      const code = new Blob([`"use strict";(${serve})((${engine})());`], { type: "text/javascript" });
      const url = URL.createObjectURL(code);
      const fail = () => {
        this.reset();
        this.status.textContent = this.words.failed;
      };
      try {
        this.worker = new Worker(url);
      } catch {
        fail();
        return;
      }
      this.worker.onerror = fail;
      this.worker.onmessage = ({ data }) => this.hear(data);
      this.worker.postMessage({ text: this.text.value, hidden: this.units.value, ...this.settings() });
    }

    pause() {
      if (!this.isRunning) return;
      this.isRunning = false;
      this.worker?.postMessage(this.settings());
      this.show();
    }

    reset() {
      this.worker?.terminate();
      this.worker = null;
      this.clear();
      this.show();
    }

    hear(told) {
      if (told.weights) this.about = told;
      else {
        for (const loss of told.losses) {
          this.updates += 1;
          this.mean = this.mean === null ? loss : 0.95 * this.mean + 0.05 * loss;
          this.curve.push([this.updates, this.mean]);
        }
        if (this.curve.length > 600) this.curve = this.curve.filter((_, i) => i % 2); // half as dense
        this.speed = (1000 * (this.updates - this.begun.updates)) / (performance.now() - this.begun.at);
        if (told.heldOut) this.heldOut.push([told.updates, Math.log(told.heldOut)]);
        this.wrote = told.sample ?? this.wrote;
      }
      this.show();
    }

    show() {
      const { words, about } = this;
      this.toggle.textContent = this.isRunning ? words.pause : words.start;
      const perplexity = (log) => (log === undefined || log === null ? "–" : Math.exp(log).toFixed(2));
      this.status.textContent = about
        ? `${words.ready(about)} ${words.doing(this.updates, this.speed.toFixed(0), perplexity(this.mean), perplexity(this.heldOut.at(-1)?.[1]), about.unigram.toFixed(2))}`
        : "";
      const last = Math.max(this.updates, 100);
      const unigram = about ? [[0, Math.log(about.unigram)], [last, Math.log(about.unigram)]] : [];
      const most = Math.max(Math.log(32), ...this.curve.map(([, y]) => y), ...this.heldOut.map(([, y]) => y));
      const powers = Array.from({ length: 1 + Math.floor(most / Math.LN2) }, (_, i) => i);
      this.picture.replaceChildren(plot({
        width: this.room,
        x: { from: 0, to: last, ticks: [0, last / 2, last].map((x) => [x, String(Math.round(x))]) },
        y: { from: 0, to: most, ticks: powers.map((i) => [i * Math.LN2, String(2 ** i)]) },
        lines: [
          { className: "series-0", points: this.curve },
          { className: "series-1", points: this.heldOut },
          { className: "series-2", points: unigram },
        ],
        said: words.said,
      }));
      this.written.textContent = this.wrote || "–";
    }
  }

  customElements.define("live-training", LiveTraining);
})();
