// The chapter's BLEU of one sentence, computed as the reader types (src/penstock/metrics/bleu.py).
"use strict";

(() => {
  const WORDS = {
    en: {
      label: "label",
      prediction: "prediction",
      longest: (k) => `longest n-gram: ${k}`,
      none: "no n-grams, and the label has none: left out",
      missing: "no n-grams, though the label has some: 0",
      penalty: (value) => `length factor ${value}`,
      examples: [
        ["the chapter's", "A B C D E F", "A B B C D"],
        ["all right", "A B C D E F", "A B C D E F"],
        ["too short", "A B C D E F", "A B"],
        ["too long", "A B C", "A B C A B C"],
        ["other order", "he is calm .", "calm is he ."],
        ["nothing", "A B C", ""],
      ],
    },
    zh: {
      label: "标签",
      prediction: "预测",
      longest: (k) => `最长的 n 元语法：${k}`,
      none: "没有 n 元语法，标签也没有：不计",
      missing: "没有 n 元语法，而标签有：0",
      penalty: (value) => `长度因子 ${value}`,
      examples: [
        ["书中的例子", "A B C D E F", "A B B C D"],
        ["全对", "A B C D E F", "A B C D E F"],
        ["太短", "A B C D E F", "A B"],
        ["太长", "A B C", "A B C A B C"],
        ["次序不同", "he is calm .", "calm is he ."],
        ["空", "A B C", ""],
      ],
    },
  };

  const split = (text) => text.split(/\s+/).filter(Boolean);

  // The n-grams of the prediction, each with whether a copy of it in the label was still free.
  function matches(prediction, label, n) {
    const free = new Map();
    const grams = (words) =>
      words.slice(0, Math.max(words.length - n + 1, 0)).map((_, i) => words.slice(i, i + n).join(" "));
    for (const gram of grams(label)) free.set(gram, (free.get(gram) ?? 0) + 1);
    return grams(prediction).map((gram) => {
      const left = free.get(gram) ?? 0;
      free.set(gram, left - 1);
      return { gram, matched: left > 0 };
    });
  }

  // Score, length factor, and for each order its n-grams and precision (null: left out).
  function bleu(predictionText, labelText, k) {
    const prediction = split(predictionText);
    const label = split(labelText);
    const orders = Array.from({ length: k }, (_, i) => {
      const grams = matches(prediction, label, i + 1);
      const empty = label.length > i ? 0 : null;
      const precision = grams.length ? grams.filter((g) => g.matched).length / grams.length : empty;
      return { n: i + 1, grams, precision };
    });
    if (!prediction.length) return { score: label.length ? 0 : 1, factor: label.length ? 0 : 1, orders };
    const factor = Math.exp(Math.min(0, 1 - label.length / prediction.length));
    const score = orders.reduce((s, o) => (o.precision === null ? s : s * o.precision ** 0.5 ** o.n), factor);
    return { score, factor, orders };
  }

  if (typeof module !== "undefined") {
    module.exports = { bleu };
    return;
  }

  const { make, row, labelled, textField, buttons } = window.live;

  class LiveBleu extends window.live.Figure {
    static WORDS = WORDS;

    build(words) {
      const [, label, prediction] = words.examples[0];
      const field = (value) => textField(value, () => this.show());
      this.label = field(label);
      this.prediction = field(prediction);
      this.longest = make("input", { type: "range", min: 1, max: 4, value: 4, oninput: () => this.show() });
      this.caption = make("span");
      this.found = make("div", { ariaLive: "polite" });
      const examples = words.examples.map(([name, ...texts]) => [name, texts]);
      return [
        labelled(words.label, this.label),
        labelled(words.prediction, this.prediction),
        labelled(this.caption, this.longest),
        buttons(examples, (texts) => {
          [this.label.value, this.prediction.value] = texts;
          this.show();
        }),
        this.found,
      ];
    }

    show() {
      const { words } = this;
      const k = Number(this.longest.value);
      const { score, factor, orders } = bleu(this.prediction.value, this.label.value, k);
      this.caption.textContent = words.longest(k);
      const rows = orders.map(({ n, grams, precision }) => {
        const list = make("ul", { className: "live-grams" });
        for (const { gram, matched } of grams) list.append(make("li", { className: matched ? "matched" : "", textContent: gram }));
        const value = precision === null ? words.none : grams.length ? precision.toFixed(3) : words.missing;
        return row(make("b", {}, `p${n} = ${value}`), list);
      });
      const parts = orders.filter((o) => o.precision !== null).map((o) => `${o.precision.toFixed(3)}^${0.5 ** o.n}`);
      const sum = [words.penalty(factor.toFixed(3)), ...parts].join(" × ");
      this.found.replaceChildren(...rows, make("p", {}, sum), make("p", { className: "live-score" }, `BLEU ${score.toFixed(3)}`));
    }
  }

  customElements.define("live-bleu", LiveBleu);
})();
