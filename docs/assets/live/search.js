// Greedy, beam and exhaustive search over three tokens and the end, at most three long: a tree of 40
// prefixes (src/penstock/search/beam.py, exhaustive.py; the chapter's table is that of
// examples/beam_search.py).
"use strict";

(() => {
  const TOKENS = "ABC";
  const END = TOKENS.length;
  const MOST = 3; // tokens before the end
  const ALL = 40; // a beam of so many drops nothing: there are no more prefixes
  const EVEN = [0.25, 0.25, 0.25, 0.25];
  const RANDOM_TABLES = 200;

  // P(A, B, C, end | prefix)
  const BOOK = {
    "": [0.5, 0.2, 0.2, 0.1],
    A: [0.1, 0.4, 0.3, 0.2],
    AB: [0.2, 0.2, 0.4, 0.2],
    ABC: [0, 0.2, 0.2, 0.6],
    AC: [0.1, 0.6, 0.2, 0.1],
    ACB: [0.1, 0.2, 0.1, 0.6],
  };
  const SURE_END = { "": [0.4, 0.35, 0.25, 0], C: [0, 0, 0, 1] };

  const PREFIXES = [""]; // breadth first
  for (const prefix of PREFIXES) if (prefix.length < MOST) for (const token of TOKENS) PREFIXES.push(prefix + token);

  // A table drawn at random: the cube of a uniform number, so that most rows have a favourite.
  function randomTable(seed) {
    let state = seed;
    const draw = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    for (let i = 0; i < 8; i += 1) draw();
    return Object.fromEntries(PREFIXES.map((prefix) => {
      const weights = Array.from({ length: END + 1 }, () => draw() ** 3 + 0.01);
      const sum = weights.reduce((a, b) => a + b);
      return [prefix, weights.map((weight) => weight / sum)];
    }));
  }

  // Each end or token that may follow: {prefix, token, probability, total}, the sum of logarithms with it.
  function expansions(table, prefix, total) {
    const row = table[prefix] ?? EVEN;
    return row
      .map((probability, token) => ({ prefix, token, probability, total: total + Math.fround(Math.log(Math.fround(probability))) }))
      .filter(({ token, probability }) => probability > 0 && (prefix.length < MOST || token === END))
      .sort((a, b) => b.probability - a.probability);
  }

  const finishedBy = ({ prefix, total }, alpha) => ({
    output: prefix,
    probability: Math.exp(total),
    score: total / (prefix.length + 1) ** alpha,
  });
  const byScore = (a, b) => b.score - a.score;

  // All outputs, best first.
  function exhaustive(table, alpha) {
    const [asked, outputs] = [[], []];
    let rows = [["", 0]];
    while (rows.length) {
      asked.push(...rows.map(([prefix]) => prefix));
      const all = rows.flatMap(([prefix, total]) => expansions(table, prefix, total));
      outputs.push(...all.filter(({ token }) => token === END).map((each) => finishedBy(each, alpha)));
      rows = all.filter(({ token }) => token !== END).map(({ prefix, token, total }) => [prefix + TOKENS[token], total]);
    }
    return { best: outputs.sort(byScore)[0], outputs, asked };
  }

  // The best output, all that ended, and the prefixes that were looked up. One that ended keeps its slot.
  function beam(table, k, alpha) {
    const [asked, outputs] = [[], []];
    let rows = [["", 0]];
    while (rows.length) {
      asked.push(...rows.map(([prefix]) => prefix));
      const all = rows.flatMap(([prefix, total]) => expansions(table, prefix, total).slice(0, k));
      const chosen = all.sort((a, b) => b.total - a.total).slice(0, k - outputs.length);
      outputs.push(...chosen.filter(({ token }) => token === END).map((each) => finishedBy(each, alpha)));
      rows = chosen.filter(({ token }) => token !== END).map(({ prefix, token, total }) => [prefix + TOKENS[token], total]);
      const best = Math.max(...outputs.map(({ score }) => score));
      if (best >= Math.max(...rows.map(([, total]) => total)) / (MOST + 1) ** alpha) rows = [];
    }
    return { best: outputs.sort(byScore)[0], outputs, asked };
  }

  const search = (table, k, alpha) => (k < ALL ? beam(table, k, alpha) : exhaustive(table, alpha));

  // How many of the random tables a beam finds the best output of.
  function found(k, alpha, tables) {
    return tables.filter((table) => search(table, k, alpha).best.output === exhaustive(table, alpha).best.output).length;
  }

  if (typeof module !== "undefined") {
    module.exports = { search, randomTable, found, BOOK, SURE_END };
    return;
  }

  const output = (prefix) => [...prefix, "⏎"].join(" ");
  const WORDS = {
    en: {
      k: "beam size k",
      kinds: (k) => (k === 1 ? "1: greedy" : k < ALL ? String(k) : "all: exhaustive"),
      alpha: "length penalty α",
      tables: "table:",
      book: "the book's",
      sure: "of 'Try next'",
      random: "another at random",
      legend: { "node-kept": "looked up", "node-scored": "scored and dropped", "node-unseen": "never seen", "node-best": "found" },
      right: (name, p, asked) => `Finds ${name}, P ${p}: the best output. ${asked} of 40 prefixes looked up.`,
      wrong: (name, p, best, q, asked) => `Finds ${name}, P ${p}, and misses ${best}, P ${q}. ${asked} of 40 prefixes looked up.`,
      share: (n, of) => `Of ${of} random tables this search finds the best output of ${n}.`,
      heads: ["output", "P", "log P / L^α", "found"],
      yes: "found",
      seen: "seen",
      tree: "Tree of prefixes",
    },
    zh: {
      k: "束宽 k",
      kinds: (k) => (k === 1 ? "1：贪心" : k < ALL ? String(k) : "全部：穷举"),
      alpha: "长度惩罚 α",
      tables: "概率表：",
      book: "书中的表",
      sure: "“接着试”里的表",
      random: "随机换一张",
      legend: { "node-kept": "查过", "node-scored": "打过分，丢弃", "node-unseen": "没有看到", "node-best": "找到的输出" },
      right: (name, p, asked) => `找到 ${name}，P ${p}：最好的输出。查了 40 个前缀中的 ${asked} 个。`,
      wrong: (name, p, best, q, asked) => `找到 ${name}，P ${p}，错过了 ${best}，P ${q}。查了 40 个前缀中的 ${asked} 个。`,
      share: (n, of) => `在 ${of} 张随机表中，这样搜索找到其中 ${n} 张的最好输出。`,
      heads: ["输出", "P", "log P / L^α", "找到"],
      yes: "找到",
      seen: "看到",
      tree: "前缀树",
    },
  };

  const { make, draw, drawing, slider, buttons, row, table, legend } = window.live;
  const tables = Array.from({ length: RANDOM_TABLES }, (_, i) => randomTable(i + 1));
  const LINE = 19;
  const COLUMNS = [10, 82, 158, 234];
  const short = (probability) => probability.toFixed(2).replace(/^0/, "");

  class LiveSearch extends window.live.Figure {
    static WORDS = WORDS;

    build(words) {
      this.table = BOOK;
      this.seed = RANDOM_TABLES;
      const show = () => this.show();
      this.k = slider(words.k, { min: 1, max: ALL, step: 1, value: 1, text: words.kinds }, show);
      this.alpha = slider(words.alpha, { max: 1.5, step: 0.05, value: 0.75 }, show);
      this.said = make("p", { ariaLive: "polite" });
      this.picture = make("div");
      this.ranking = make("div");
      const chosen = (given) => {
        this.table = given ?? randomTable((this.seed += 1));
        this.show();
      };
      return [
        this.k.node,
        this.alpha.node,
        buttons([1, 2, 3, ALL].map((k) => [words.kinds(k), k]), (k) => {
          this.k.set(k);
          this.show();
        }),
        row(make("span", {}, words.tables), ...buttons([[words.book, BOOK], [words.sure, SURE_END], [words.random, null]], chosen).childNodes),
        this.said,
        this.picture,
        legend(words.legend),
        this.ranking,
      ];
    }

    show() {
      const { words } = this;
      const [k, alpha] = [this.k.value, this.alpha.value];
      const own = search(this.table, k, alpha);
      const all = exhaustive(this.table, alpha);
      const p = ({ probability }) => probability.toFixed(3);
      const [mine, best] = [output(own.best.output), output(all.best.output)];
      const isRight = own.best.score >= all.best.score - 1e-12; // outputs may tie
      const asked = own.asked.length;
      this.said.replaceChildren(
        isRight ? words.right(mine, p(own.best), asked) : words.wrong(mine, p(own.best), best, p(all.best), asked),
        make("br"),
        words.share(found(k, alpha, tables), tables.length),
      );
      this.picture.replaceChildren(this.tree(own));
      const seen = new Set(own.outputs.map((each) => each.output));
      const rows = all.outputs.slice(0, 6).map((each) => ({
        cells: [output(each.output), p(each), each.score.toFixed(3), each.output === own.best.output ? words.yes : seen.has(each.output) ? words.seen : "–"],
        className: each.output === own.best.output ? "chosen" : "",
      }));
      this.ranking.replaceChildren(table(words.heads, rows));
    }

    // Each prefix at its place; behind it, where it was looked up, the probability of ending there.
    tree(own) {
      const [asked, found_] = [new Set(own.asked), new Set(own.outputs.map((each) => each.output))];
      const top = (prefix) => {
        const size = 3 ** (MOST - prefix.length);
        const first = [...prefix].reduce((sum, token) => sum * 3 + TOKENS.indexOf(token), 0) * size;
        return 14 + LINE * (first + (size - 1) / 2);
      };
      const isBest = (prefix) => own.best.output.startsWith(prefix);
      const [lines, nodes] = [[], []];
      for (const prefix of PREFIXES) {
        const before = prefix.slice(0, -1);
        const isScored = prefix === "" || asked.has(before);
        const state = isBest(prefix) ? "best" : asked.has(prefix) ? "kept" : isScored ? "scored" : "unseen";
        const [x, y] = [COLUMNS[prefix.length], top(prefix)];
        const P = (this.table[before] ?? EVEN)[TOKENS.indexOf(prefix.at(-1))];
        if (prefix) lines.push(draw("line", { class: `edge edge-${state}`, x1: COLUMNS[before.length], y1: top(before), x2: x, y2: y }));
        nodes.push(draw("circle", { class: `node node-${state}`, cx: x, cy: y, r: 5 }));
        const name = prefix && isScored ? `${prefix.at(-1)} ${short(P)}` : "";
        const end = asked.has(prefix) ? ` ⏎ ${short((this.table[prefix] ?? EVEN)[END])}` : "";
        const text = draw("text", { class: `label-${state}`, x: x + 9, y: y + (prefix.length < MOST ? -5 : 4) }, name);
        text.append(draw("tspan", { class: found_.has(prefix) ? "ended" : "" }, end));
        nodes.push(text);
      }
      return drawing(306, 2 * 14 + LINE * 26, `${this.words.tree}: ${output(own.best.output)}`, ...lines, ...nodes);
    }
  }

  customElements.define("live-search", LiveSearch);
})();
