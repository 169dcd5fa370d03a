// The demo model at work on a sentence of the reader's. `view` says what is shown of its answer.
"use strict";

(() => {
  const PATIENCE = 250; // ms after the last key
  const SHOWN = 24; // numbers of a state that are drawn
  const COLUMN = 58; // px of a piece

  // Means over the pieces written so far: {loss, perplexity}.
  function lossOf(logProbabilities) {
    if (!logProbabilities.length) return { loss: 0, perplexity: 1 };
    const loss = -logProbabilities.reduce((a, b) => a + b) / logProbabilities.length;
    return { loss, perplexity: Math.exp(loss) };
  }

  const WORDS = {
    en: {
      sentence: "sentence",
      loading: "Loading the demo model, English to French, 2.3 MB …",
      missing: "The demo model is not here: this figure works on the site that 'make docs' builds.",
      failed: (message) => `The model cannot answer: ${message}`,
      step: "step",
      reads: (piece, t, of) => `The encoder has read ${t} of ${of} pieces, up to ${piece}.`,
      writes: (piece, p) => `The decoder writes ${piece}, P ${p}.`,
      states: "Each column is a state: 24 of its numbers, orange below 0, blue above.",
      encoder: "Encoder",
      decoder: "Decoder",
      source: "source",
      target: "target",
      looks: (piece, at, share) => `Writing ${piece}, the decoder looks at ${at} most: ${share}.`,
      weights: (piece) => `weights when writing ${piece}`,
      next: "Which piece next? Choose one, or let the model go on.",
      model: "the model's choice",
      back: "back",
      restart: "from the start",
      done: "The end is written.",
      far: (loss, perplexity) => `Loss so far ${loss}, perplexity ${perplexity}.`,
      rest: (text) => `Left alone from here, it writes: ${text}`,
      none: "nothing yet",
      layer: "layer",
      layers: { "encoder forward": "encoder, left to right", "encoder backward": "encoder, right to left", "decoder forward": "decoder" },
      unit: "unit",
      mean: "mean of all",
      gates: { input: "input gate", forget: "forget gate", output: "output gate", cell: "memory, its tanh" },
      read: "it reads",
      scale: "Pieces from left to right; gates from 0 to 1, the memory's tanh from -1.",
    },
    zh: {
      sentence: "句子",
      loading: "正在加载演示模型，英译法，2.3 MB……",
      missing: "演示模型不在这里：此图要在 make docs 生成的网站上运行。",
      failed: (message) => `模型无法回答：${message}`,
      step: "步",
      reads: (piece, t, of) => `编码器读了 ${of} 片中的 ${t} 片，到 ${piece} 为止。`,
      writes: (piece, p) => `解码器写出 ${piece}，P ${p}。`,
      states: "每一列是一个状态，画出其中 24 个数，橙色小于 0，蓝色大于 0。",
      encoder: "编码器",
      decoder: "解码器",
      source: "源句",
      target: "目标句",
      looks: (piece, at, share) => `写 ${piece} 时，解码器看得最多的是 ${at}：${share}。`,
      weights: (piece) => `写 ${piece} 时的权重`,
      next: "下一片写什么？选一个，或者让模型接着写。",
      model: "模型的选择",
      back: "退一步",
      restart: "从头开始",
      done: "已经写完。",
      far: (loss, perplexity) => `到目前为止损失 ${loss}，困惑度 ${perplexity}。`,
      rest: (text) => `从这里起由模型自己写：${text}`,
      none: "还没有写",
      layer: "层",
      layers: { "encoder forward": "编码器，从左到右", "encoder backward": "编码器，从右到左", "decoder forward": "解码器" },
      unit: "单元",
      mean: "全部的平均",
      gates: { input: "输入门", forget: "遗忘门", output: "输出门", cell: "记忆的 tanh" },
      read: "它读到的",
      scale: "从左到右是各片；门从 0 到 1，记忆的 tanh 从 -1 起。",
    },
  };

  const { make, draw, drawing, labelled, slider, button, buttons, row, textField, choice, table, plot, legend, bars, load } = window.live;
  const percent = (share) => `${(100 * share).toFixed(0)} %`;
  const region = (name, ...children) => make("div", { className: "live-scroll", tabIndex: 0, role: "region", ariaLabel: name }, ...children);

  // --- the figure ---------------------------------------------------------------------------------

  class LiveTranslation extends window.live.Figure {
    static WORDS = WORDS;

    build(words) {
      this.view = new VIEWS[this.getAttribute("view")](this, words);
      this.text = textField("", () => this.typed());
      this.examples = row();
      this.said = make("p", { ariaLive: "polite", textContent: words.loading });
      this.found = make("div");
      this.forced = [];
      // a model of megabytes is loaded once its figure comes near
      const near = new IntersectionObserver((entries) => {
        if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
        near.disconnect();
        this.begin();
      }, { rootMargin: "400px" });
      near.observe(this);
      return [labelled(words.sentence, this.text), this.examples, ...this.view.controls, this.said, this.found];
    }

    async begin() {
      try {
        await load("demo_model.js");
        this.ask = await window.live.demoModel(this.dataset.sha256);
        const { pairs: [{ examples }] } = await this.ask("/v1/models");
        const pick = (text) => {
          this.text.value = text;
          this.forced = [];
          this.translate();
        };
        this.examples.replaceChildren(...buttons(examples.map((text) => [text, text]), pick).childNodes);
        pick(examples[0]);
      } catch (error) {
        this.said.textContent = this.ask ? this.words.failed(error.message) : this.words.missing;
      }
    }

    typed() {
      clearTimeout(this.timer);
      this.forced = [];
      this.timer = setTimeout(() => this.translate(), PATIENCE);
    }

    async translate() {
      const asked = (this.asked = (this.asked ?? 0) + 1);
      try {
        const body = { text: this.text.value, prefix: this.forced, units: true };
        const answer = await this.ask("/v1/inspect", body);
        if (asked !== this.asked) return; // a later one is on its way
        this.answer = answer;
        this.view.answered(answer);
        this.show();
      } catch (error) {
        if (asked !== this.asked) return;
        this.answer = null;
        this.said.textContent = this.words.failed(error.message);
        this.found.replaceChildren();
      }
    }

    show() {
      if (this.answer) this.view.show(this.answer);
    }
  }

  // --- encoder and decoder, one piece after the other ----------------------------------------------

  class Steps {
    constructor(figure, words) {
      Object.assign(this, { figure, words });
      this.step = slider(words.step, { min: 1, max: 99, step: 1, value: 3, text: String }, () => figure.show());
      this.controls = [this.step.node];
    }

    answered({ source_tokens: read, target_tokens: written }) {
      this.step.input.max = read.length + written.length;
      this.step.set(Math.min(this.step.value, read.length + 1));
    }

    show({ source_tokens: read, target_tokens: written, token_log_probabilities: logs, gates }) {
      const { figure, words } = this;
      const done = this.step.value;
      const at = done - read.length - 1; // of the decoder
      figure.said.textContent = at < 0
        ? words.reads(read[done - 1], done, read.length)
        : words.writes(written[at], Math.exp(logs[at]).toFixed(2));
      const hidden = (side) => gates.find((layer) => layer.side === side).values.hidden.units;
      figure.found.replaceChildren(
        make("b", {}, words.encoder),
        follow(region(words.source, strips(read, hidden("encoder"), done, done - 1)), done - 1),
        make("b", {}, words.decoder),
        follow(region(words.target, strips(written, hidden("decoder"), at + 1, at)), at),
        make("p", {}, words.states),
      );
    }
  }

  // Pieces with their states below, as far as they are done.
  function strips(pieces, states, done, now) {
    const size = 6;
    const columns = pieces.flatMap((piece, t) => {
      const x = COLUMN * t;
      const isNow = t === now ? "series-1" : "";
      const name = t < done ? piece : "·";
      const cells = t < done ? states[t].slice(0, SHOWN).map((value, i) => draw("rect", {
        class: value < 0 ? "below" : "above", x: x + 18, width: 22, y: 22 + size * i, height: size, "fill-opacity": Math.min(1, Math.abs(value) / 60).toFixed(2),
      })) : [];
      const frame = draw("rect", { class: `frame ${t === now ? "now" : ""}`, x: x + 17, width: 24, y: 21, height: size * SHOWN + 2 });
      return [draw("text", { class: isNow, x: x + COLUMN / 2, y: 14, "text-anchor": "middle" }, name), frame, ...cells];
    });
    return atItsSize(drawing(COLUMN * pieces.length, 26 + size * SHOWN, pieces.slice(0, done).join(" "), ...columns));
  }

  // Scrolls so that a piece is in sight, once the region is on the page.
  function follow(own, at) {
    requestAnimationFrame(() => (own.scrollLeft = COLUMN * (at + 0.5) - own.clientWidth / 2));
    return own;
  }

  function atItsSize(svg) {
    svg.style.width = `${svg.getAttribute("viewBox").split(" ")[2]}px`;
    svg.style.maxWidth = "none";
    return svg;
  }

  // --- attention -----------------------------------------------------------------------------------

  class AttentionView {
    constructor(figure, words) {
      Object.assign(this, { figure, words });
      this.step = slider(words.step, { min: 1, max: 99, step: 1, value: 2, text: String }, () => figure.show());
      this.controls = [this.step.node];
    }

    answered({ target_tokens: written }) {
      this.step.input.max = written.length;
      this.step.set(Math.min(this.step.value, written.length));
    }

    show({ source_tokens: read, target_tokens: written, attention: { mean } }) {
      const { figure, words } = this;
      const at = this.step.value - 1;
      const best = mean[at].indexOf(Math.max(...mean[at]));
      figure.said.textContent = words.looks(written[at], read[best], percent(mean[at][best]));
      const x = (i) => COLUMN * (i + 0.5);
      const lines = mean[at].map((weight, j) =>
        draw("line", { class: "line series-0", x1: x(j), y1: 24, x2: x(at), y2: 96, "stroke-opacity": Math.sqrt(weight).toFixed(2), "stroke-width": (1 + 7 * weight).toFixed(1) }));
      const names = (pieces, y, chosen) => pieces.map((piece, i) =>
        draw("text", { class: chosen(i), x: x(i), y, "text-anchor": "middle" }, piece));
      const size = 20;
      const cells = mean.flatMap((weights, t) => weights.map((weight, j) =>
        draw("rect", { class: "above", x: x(j) - 14, width: 28, y: 128 + size * t, height: size - 2, "fill-opacity": weight.toFixed(3) })));
      const mark = draw("rect", { class: "frame now", x: 0, width: COLUMN * read.length, y: 126 + size * at, height: size + 1 });
      const rows = written.map((piece, t) => draw("text", { class: t === at ? "series-1" : "", x: COLUMN * read.length + 6, y: 141 + size * t }, piece));
      const width = COLUMN * Math.max(read.length + 1.2, written.length);
      figure.found.replaceChildren(
        follow(region(figure.said.textContent, atItsSize(drawing(width, 134 + size * written.length, figure.said.textContent,
          ...lines, ...names(read, 16, (i) => (i === best ? "series-0" : "")), ...names(written, 112, (i) => (i === at ? "series-1" : "")), ...cells, mark, ...rows))), at),
        bars(words.weights(written[at]), read.map((piece, j) => [piece, mean[at][j]])),
      );
    }
  }

  // --- writing with the model ----------------------------------------------------------------------

  class Writing {
    constructor(figure, words) {
      Object.assign(this, { figure, words });
      const go = (prefix) => {
        figure.forced = prefix;
        figure.translate();
      };
      this.go = go;
      this.model = button(words.model, () => go([...figure.forced, figure.answer.target_tokens[figure.forced.length]]));
      this.back = button(words.back, () => go(figure.forced.slice(0, -1)));
      this.restart = button(words.restart, () => go([]));
      this.controls = [row(this.model, this.back, this.restart)];
    }

    answered() {}

    show({ target_tokens: written, token_log_probabilities: logs, choices, text }) {
      const { figure, words } = this;
      const at = figure.forced.length;
      const { loss, perplexity } = lossOf(logs.slice(0, at));
      const isDone = at >= written.length - 1;
      const pieces = written.slice(0, at);
      const list = make("ul", { className: "live-grams", dir: "auto" }, ...pieces.map((piece, t) =>
        make("li", { className: "matched" }, `${piece} ${Math.exp(logs[t]).toFixed(2)}`)));
      figure.said.textContent = `${words.far(loss.toFixed(2), perplexity.toFixed(2))} ${words.rest(text)}`;
      this.model.disabled = isDone;
      this.back.disabled = this.restart.disabled = at === 0;
      const hadFocus = figure.found.contains(document.activeElement);
      const end = written.at(-1);
      const offered = choices[at].map(({ token, log_probability: log }) => {
        const own = button(`${token} ${Math.exp(log).toFixed(2)}`, () => this.go([...figure.forced, token]));
        own.disabled = token === end; // the end cannot be gone on from
        return own;
      });
      figure.found.replaceChildren(
        pieces.length ? list : make("p", {}, words.none),
        make("p", {}, isDone ? words.done : words.next),
        row(...offered),
      );
      if (hadFocus) offered.find(({ disabled }) => !disabled)?.focus();
    }
  }

  // --- the gates of a trained cell -----------------------------------------------------------------

  class Gates {
    constructor(figure, words) {
      Object.assign(this, { figure, words });
      const show = () => figure.show();
      this.layer = choice(words.layer, Object.entries(words.layers).map(([value, name]) => [name, value]), "decoder forward", show);
      this.unit = slider(words.unit, { min: 0, max: 256, step: 1, value: 0, text: (i) => (i ? String(i) : words.mean) }, show);
      this.controls = [this.layer.node, this.unit.node];
    }

    answered() {}

    show({ gates, target_tokens: written, text }) {
      const { figure, words } = this;
      const [side, direction] = this.layer.value.split(" ");
      const layer = gates.find((each) => each.side === side && each.direction === direction);
      this.unit.input.max = layer.size;
      this.unit.set(this.unit.value);
      const unit = this.unit.value;
      const { tokens, values } = layer;
      const of = (name) => (unit ? values[name].units.map((units) => units[unit - 1] / 100) : values[name].mean);
      const names = Object.keys(words.gates).filter((name) => values[name]);
      const width = Math.max(figure.room, 56 + COLUMN * tokens.length);
      const svg = plot({
        width,
        height: 200,
        x: { from: -0.5, to: tokens.length - 0.5, ticks: tokens.map((token, t) => [t, token]) },
        y: { from: -1, to: 1, ticks: [-1, 0, 1].map((value) => [value, String(value)]) },
        lines: names.map((name, i) => ({ className: `series-${i}`, points: of(name).map((value, t) => [t, value]) })),
        said: `${words.layers[this.layer.value]}: ${tokens.join(" ")}`,
      });
      figure.said.textContent = text;
      const heads = [words.read, ...names.map((name) => words.gates[name])];
      const rows = tokens.map((token, t) => ({ cells: [token, ...names.map((name) => of(name)[t].toFixed(2))] }));
      figure.found.replaceChildren(
        region(words.layers[this.layer.value], atItsSize(svg)),
        legend(Object.fromEntries(names.map((name, i) => [`series-${i}`, words.gates[name]]))),
        make("p", {}, words.scale),
        table(heads, rows),
      );
    }
  }

  const VIEWS = { steps: Steps, attention: AttentionView, writing: Writing, gates: Gates };

  customElements.define("live-translation", LiveTranslation);
})();
