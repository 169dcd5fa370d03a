// A language model of characters that learns in the page (language_model.js). A worker computes, so that the
// page stays quick.
"use strict";

window.live.load("language_model.js").then(() => {
  const engine = window.live.languageModel;

  // In the worker: trains in turns between which it hears what the page says.
  function serve({ create, update, heldOutPerplexity, unigramPerplexity, sample }) {
    const [TURN, SCORED, SHOWN] = [60, 1000, 160]; // ms, ms, characters
    let [model, settings, isRunning, scoredAt] = [null, null, false, -Infinity];
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
});
