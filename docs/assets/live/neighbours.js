// Word vectors by counting, as in examples/pretrained_embeddings.py: positive pointwise mutual information
// of words that stand near each other, and of that table the largest eigenvectors.
"use strict";

(() => {
  const MOST = 120; // words
  const split = (text) => text.toLowerCase().match(/[\p{L}\p{M}\p{N}']+/gu) ?? [];

  // Words that occur twice, the most frequent first, and their table of information.
  function count(text, window_) {
    const sentences = text.split("\n").map(split);
    const counts = new Map();
    for (const word of sentences.flat()) counts.set(word, (counts.get(word) ?? 0) + 1);
    const words = [...counts].filter(([, n]) => n > 1).sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).slice(0, MOST).map(([word]) => word);
    const index = new Map(words.map((word, i) => [word, i]));
    const together = words.map(() => new Float64Array(words.length));
    for (const sentence of sentences) {
      sentence.forEach((word, at) => {
        for (const other of sentence.slice(at + 1, at + 1 + window_)) {
          const [i, j] = [index.get(word), index.get(other)];
          if (i === undefined || j === undefined) continue;
          together[i][j] += 1;
          together[j][i] += 1;
        }
      });
    }
    const margins = together.map((row) => row.reduce((a, b) => a + b, 0));
    const all = margins.reduce((a, b) => a + b, 0);
    const information = together.map((row, i) => row.map((n, j) => (n ? Math.max(0, Math.log((n * all) / (margins[i] * margins[j]))) : 0)));
    return { words, information };
  }

  // Eigenvalues and vectors (columns) of a symmetric matrix, by Jacobi's rotations.
  function eigen(symmetric) {
    const size = symmetric.length;
    const a = symmetric.map((row) => Float64Array.from(row));
    const v = a.map((_, i) => Float64Array.from({ length: size }, (__, j) => Number(i === j)));
    for (let sweep = 0; sweep < 30; sweep += 1) {
      let rest = 0;
      for (let p = 0; p < size; p += 1) {
        for (let q = p + 1; q < size; q += 1) {
          rest += a[p][q] ** 2;
          if (Math.abs(a[p][q]) < 1e-14) continue;
          const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
          const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
          const c = 1 / Math.sqrt(t * t + 1);
          const s = t * c;
          const turn = (rows) => {
            for (const row of rows) {
              const before = row[p];
              row[p] = c * before - s * row[q];
              row[q] = s * before + c * row[q];
            }
          };
          turn(a);
          turn(v);
          for (let k = 0; k < size; k += 1) {
            const before = a[p][k];
            a[p][k] = c * before - s * a[q][k];
            a[q][k] = s * before + c * a[q][k];
          }
        }
      }
      if (rest < 1e-18) break;
    }
    return { values: a.map((row, i) => row[i]), vectors: v };
  }

  // A vector of `size` numbers per word.
  function vectors({ values, vectors: columns }, size) {
    const order = values.map((_, i) => i).sort((i, j) => Math.abs(values[j]) - Math.abs(values[i])).slice(0, size);
    return columns.map((row) => order.map((i) => row[i] * Math.sqrt(Math.abs(values[i]))));
  }

  function cosine(a, b) {
    const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0);
    return dot(a, b) / (Math.sqrt(dot(a, a) * dot(b, b)) || 1);
  }

  // Sentences of a small world, the same for everyone.
  function sentences(count_) {
    const lists = {
      who: "anna paul maria tom".split(" "),
      drink: "tea coffee water milk beer".split(" "),
      food: "bread rice soup cheese cake".split(" "),
      animal: "dog cat horse mouse owl".split(" "),
      city: "paris london rome athens".split(" "),
      time: "today yesterday often never".split(" "),
    };
    const forms = [
      "WHO drinks a cup of DRINK TIME", "WHO drinks DRINK and eats FOOD", "the ANIMAL eats FOOD", "the ANIMAL of WHO sleeps TIME",
      "WHO lives in CITY", "WHO travels to CITY TIME", "the train from CITY to CITY", "WHO sees a ANIMAL in CITY",
      "there is DRINK in the cup", "there is FOOD on the table", "the ANIMAL runs to WHO",
    ];
    let state = 7;
    const pick = (list) => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return list[(state >>> 16) % list.length];
    };
    return Array.from({ length: count_ }, () => pick(forms).replace(/[A-Z]+/g, (name) => pick(lists[name.toLowerCase()]))).join("\n");
  }

  if (typeof module !== "undefined") {
    module.exports = { count, eigen, vectors, cosine, sentences };
    return;
  }

  const SENTENCES = 800;
  const WORDS = {
    en: {
      text: "Plain text, a sentence on each line; paste your own",
      word: "word",
      window: "words at most this far apart",
      size: "numbers per vector",
      near: "stands near (information)",
      like: "is like (cosine of the vectors)",
      empty: "No word occurs twice.",
      said: (words, size) => `${words} words that occur at least twice, ${size} numbers each`,
    },
    zh: {
      text: "纯文本，每行一句；也可以粘贴你自己的",
      word: "词",
      window: "两词最多相距",
      size: "每个向量的数的个数",
      near: "常在它旁边（信息量）",
      like: "与它相似（向量的余弦）",
      empty: "没有出现两次的词。",
      said: (words, size) => `${words} 个至少出现两次的词，每个 ${size} 个数`,
    },
  };

  const { make, labelled, slider, textArea, bars } = window.live;

  class LiveNeighbours extends window.live.Figure {
    static WORDS = WORDS;

    build(words) {
      const count_ = () => this.count();
      this.text = textArea(sentences(SENTENCES), count_, { rows: 6 });
      this.word = make("select", { onchange: () => this.show() });
      this.window_ = slider(words.window, { min: 1, max: 5, step: 1, value: 3, text: String }, count_);
      this.size = slider(words.size, { min: 1, max: 32, step: 1, value: 8, text: String }, () => this.show());
      this.said = make("p");
      this.found = make("div", { className: "live-columns", ariaLive: "polite" });
      this.count();
      return [labelled(words.text, this.text), labelled(words.word, this.word), this.window_.node, this.size.node, this.said, this.found];
    }

    count() {
      this.table = count(this.text.value, this.window_.value);
      this.own = eigen(this.table.information);
      const { words } = this.table;
      const chosen = [this.word.value, "coffee", words[0]].find((word) => words.includes(word));
      this.word.replaceChildren(...[...words].sort().map((word) => make("option", { value: word }, word)));
      if (chosen) this.word.value = chosen;
      if (this.isConnected && this.found.isConnected) this.show();
    }

    show() {
      const { words, table: { words: known, information } } = this;
      const at = known.indexOf(this.word.value);
      if (at < 0) {
        this.said.textContent = words.empty;
        this.found.replaceChildren();
        return;
      }
      const all = vectors(this.own, this.size.value);
      this.said.textContent = words.said(known.length, all[0].length);
      const top = (values) => values.map((value, i) => [known[i], value]).filter((_, i) => i !== at).sort((a, b) => b[1] - a[1]).slice(0, 8);
      const near = top(Array.from(information[at])).filter(([, value]) => value > 0);
      const like = top(all.map((vector) => cosine(vector, all[at])));
      this.found.replaceChildren(bars(words.like, like), bars(words.near, near, "series-1"));
    }
  }

  customElements.define("live-neighbours", LiveNeighbours);
})();
