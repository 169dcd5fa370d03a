// From typed pairs of sentences to rectangles of ids (src/penstock/text/normalize.py, tokenizer.py of words,
// training/batches.py).
"use strict";

(() => {
  const RESERVED = ["<pad>", "<unk>", "<bos>", "<eos>"];
  const [PAD, UNKNOWN, BOS, EOS] = [0, 1, 2, 3];
  const SPACES = /[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/g;
  const INVISIBLE = /[\u200b\ufeff\u2060\u00ad]/g;
  // the first two alternatives consume what must stay whole
  const MARK = /(?<![\p{L}\p{N}_])(?:[\p{L}\p{Nl}\p{No}]\.){2,}|(?<=\p{Nd})[.,](?=\p{Nd})|(?<=\S)([,.!?])/gu;

  function preprocess(text) {
    const plain = text.replace(SPACES, " ").replace(INVISIBLE, "").replaceAll("’", "'").toLowerCase().normalize("NFC");
    return plain.replace(MARK, (whole, mark) => (mark ? ` ${mark}` : whole));
  }

  const split = (text) => preprocess(text).split(/\s+/).filter(Boolean);

  // Reserved tokens, then words by frequency, equal ones by the alphabet.
  function vocabulary(texts, minFrequency) {
    const counts = new Map();
    for (const word of texts.flatMap(split)) counts.set(word, (counts.get(word) ?? 0) + 1);
    const kept = [...counts].filter(([, count]) => count >= minFrequency);
    kept.sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
    return [...RESERVED, ...kept.map(([word]) => word)];
  }

  const encode = (words, text) => split(text).map((word) => (words.indexOf(word) > UNKNOWN ? words.indexOf(word) : UNKNOWN));

  // Never more than `limit` ids, <eos> counted.
  const row = (ids, limit) => [...ids.slice(0, limit - 1), EOS];

  // {rows, lengths}: padded to the longest.
  function pad(rows) {
    const longest = Math.max(...rows.map(({ length }) => length));
    return { rows: rows.map((ids) => [...ids, ...Array(longest - ids.length).fill(PAD)]), lengths: rows.map(({ length }) => length) };
  }

  function batch(pairs, { minFrequency, limit }) {
    const sides = [0, 1].map((side) => {
      const words = vocabulary(pairs.map((pair) => pair[side]), minFrequency);
      return { words, ...pad(pairs.map((pair) => row(encode(words, pair[side]), limit))) };
    });
    const [source, target] = sides;
    // shifted by one, <bos> first; the shift must not leave <eos> on padding
    const decoderIn = target.rows.map((ids, i) =>
      ids.map((_, t) => (t === 0 ? BOS : t < target.lengths[i] ? ids[t - 1] : PAD)));
    return { source, target, decoderIn };
  }

  if (typeof module !== "undefined") {
    module.exports = { preprocess, batch };
    return;
  }

  const TEXT = `Go.	Va !
Go home.	Va à la maison !
He is calm.	Il est calme.
She is calm.	Elle est calme.
He is at home.	Il est à la maison.
It costs 3.14 euros.	Ça coûte 3.14 euros.
It costs 10 euros.	Ça coûte 10 euros.
She is at home.	Elle est à la maison.`;

  const WORDS = {
    en: {
      text: "Pairs, a tab between source and target",
      pair: "pair",
      frequency: "min_frequency",
      limit: "limit m, <eos> counted",
      source: "source",
      target: "target",
      stages: ["as read", "preprocessed", "tokens", "ids", "cut, with <eos>"],
      vocabulary: (n) => `vocabulary of ${n}`,
      cut: (n) => `${n} tokens cut`,
      rectangles: { x: "X", y: "Y", in: "decoder in" },
      valid: (lengths) => `valid lengths ${lengths}`,
      empty: "Write a source, a tab and a target on each line. A sentence alone stands for both.",
      padding: (share) => `${share} % of the positions are padding, which no layer and no loss may read.`,
    },
    zh: {
      text: "句对，源句和目标句之间是制表符",
      pair: "句对",
      frequency: "min_frequency",
      limit: "上限 m，包括 <eos>",
      source: "源句",
      target: "目标句",
      stages: ["读入", "预处理", "词元", "编号", "截断，加上 <eos>"],
      vocabulary: (n) => `词表有 ${n} 项`,
      cut: (n) => `截去 ${n} 个词元`,
      rectangles: { x: "X", y: "Y", in: "解码器输入" },
      valid: (lengths) => `有效长度 ${lengths}`,
      empty: "每行写源句、制表符、目标句。只有一个句子时，它同时作为两者。",
      padding: (share) => `${share} % 的位置是填充，任何层、任何损失都不得读它。`,
    },
  };

  const { make, labelled, slider, textArea } = window.live;

  class LivePipeline extends window.live.Figure {
    static WORDS = WORDS;

    build(words) {
      const show = () => this.show();
      this.text = textArea(TEXT, show, { rows: 8 });
      this.pair = slider(words.pair, { min: 1, max: 8, step: 1, value: 6, text: String }, show);
      this.frequency = slider(words.frequency, { min: 1, max: 4, step: 1, value: 2, text: String }, show);
      this.limit = slider(words.limit, { min: 2, max: 12, step: 1, value: 6, text: String }, show);
      this.found = make("div");
      return [labelled(words.text, this.text), ...[this.pair, this.frequency, this.limit].map(({ node }) => node), this.found];
    }

    show() {
      const { words } = this;
      const lines = this.text.value.split("\n").filter((line) => line.trim());
      const pairs = lines.map((line) => line.split("\t")).map(([source, target]) => [source, target ?? source]);
      if (!pairs.length) {
        this.found.replaceChildren(words.empty);
        return;
      }
      this.pair.input.max = pairs.length;
      this.pair.set(this.pair.value);
      const options = { minFrequency: this.frequency.value, limit: this.limit.value };
      const { source, target, decoderIn } = batch(pairs, options);
      const at = this.pair.value - 1;
      const sides = [source, target].map((side, i) => this.side(words[i ? "target" : "source"], pairs[at][i], side, options.limit));
      const all = [...source.rows, ...target.rows].flat();
      const padding = Math.round((100 * all.filter((id) => id === PAD).length) / all.length);
      const { x, y, in: reads } = words.rectangles;
      this.found.replaceChildren(
        make("div", { className: "live-columns" }, ...sides),
        make("div", { className: "live-columns" },
          this.rectangle(x, source.rows, at, source.lengths),
          this.rectangle(reads, decoderIn, at),
          this.rectangle(y, target.rows, at, target.lengths)),
        make("p", {}, words.padding(padding)),
      );
    }

    // The stages of one sentence.
    side(name, text, { words: vocabulary_ }, limit) {
      const { words } = this;
      const tokens = split(text);
      const ids = encode(vocabulary_, text);
      const kept = row(ids, limit);
      const shown = (id) => vocabulary_[id];
      const chips = (values, isOdd) => make("ul", { className: "live-grams", dir: "auto" }, ...values.map((value, i) =>
        make("li", { className: isOdd(i) ? "odd" : "matched" }, String(value))));
      const cut = ids.length + 1 - kept.length;
      const stages = [
        make("bdi", {}, text),
        make("bdi", {}, preprocess(text)),
        chips(tokens.map((token, i) => (ids[i] === UNKNOWN ? `${token} → <unk>` : token)), (i) => ids[i] === UNKNOWN),
        chips(ids, (i) => ids[i] === UNKNOWN),
        make("div", {}, chips(kept.map(shown), (i) => kept[i] === UNKNOWN), ...(cut ? [words.cut(cut)] : [])),
      ];
      const list = stages.flatMap((stage, i) => [make("dt", {}, words.stages[i]), make("dd", {}, stage)]);
      return make("div", {}, make("p", {}, make("b", {}, name), `, ${words.vocabulary(vocabulary_.length)}`), make("dl", {}, ...list));
    }

    rectangle(name, rows, at, lengths) {
      const cells = (ids, i) => ids.map((id) => make("td", { className: id === PAD ? "padding" : i === at ? "chosen" : "" }, String(id)));
      return make("div", { className: "live-scroll", tabIndex: 0, role: "region", ariaLabel: name },
        make("table", { className: "live-ids" }, make("caption", {}, name), make("tbody", {}, ...rows.map((ids, i) => make("tr", {}, ...cells(ids, i))))),
        ...(lengths ? [make("p", {}, this.words.valid(lengths.join(" ")))] : []));
    }
  }

  customElements.define("live-pipeline", LivePipeline);
})();
