// Messages along a chain of hidden states (src/penstock/baselines/hmm; the model is counted from the
// sentences of examples/hidden_markov.py, as there).
"use strict";

(() => {
  const BLANK = "___";
  const SMOOTHING = 0.1; // added to every count
  const TAGGED = `
I/pronoun am/verb happy/adjective ./end
I/pronoun am/verb hungry/adjective ./end
she/pronoun is/verb tired/adjective ./end
you/pronoun are/verb happy/adjective ./end
I/pronoun am/verb not/adverb hungry/adjective ./end
I/pronoun am/verb very/adverb hungry/adjective ./end
she/pronoun is/verb very/adverb happy/adjective ./end
they/pronoun are/verb not/adverb tired/adjective ./end
the/article fish/noun is/verb very/adverb light/adjective ./end
the/article light/noun is/verb red/adjective ./end
a/article can/noun is/verb not/adverb light/adjective ./end
I/pronoun can/auxiliary eat/verb a/article fish/noun ./end
they/pronoun can/auxiliary not/adverb fish/verb ./end
you/pronoun can/auxiliary light/verb a/article fire/noun ./end
she/pronoun can/auxiliary watch/verb the/article fire/noun ./end
we/pronoun watch/verb the/article red/adjective light/noun ./end
they/pronoun fish/verb ./end
we/pronoun eat/verb the/article red/adjective fish/noun ./end
the/article watch/noun is/verb red/adjective ./end
I/pronoun am/verb hungry/adjective and/conjunction I/pronoun can/auxiliary eat/verb ./end
the/article fire/noun is/verb light/adjective and/conjunction they/pronoun watch/verb ./end
`;

  const sum = (values) => values.reduce((a, b) => a + b, 0);
  const normalized = (values) => {
    const total = sum(values);
    return values.map((value) => value / (total || 1));
  };

  // The model by counting words with tags, word/tag: {tags, words, initial, transition, emission}.
  function estimate(text) {
    const sentences = text
      .trim()
      .split("\n")
      .map((line) => line.split(/\s+/).filter((each) => /.\/./.test(each)).map((each) => each.split(/\/(?=[^/]*$)/)))
      .filter((sentence) => sentence.length);
    const sorted = (names) => [...new Set(names)].sort((a, b) => (a < b ? -1 : 1));
    const words = sorted(sentences.flat().map(([word]) => word));
    const tags = sorted(sentences.flat().map(([, tag]) => tag));
    const counts = (columns, each) => Array(columns).fill(each);
    const initial = counts(tags.length, SMOOTHING);
    const transition = tags.map(() => counts(tags.length, SMOOTHING));
    const emission = tags.map(() => counts(words.length, SMOOTHING / 10));
    for (const sentence of sentences) {
      const states = sentence.map(([, tag]) => tags.indexOf(tag));
      initial[states[0]] += 1;
      states.slice(1).forEach((state, i) => (transition[states[i]][state] += 1));
      sentence.forEach(([word], i) => (emission[states[i]][words.indexOf(word)] += 1));
    }
    return { tags, words, initial: normalized(initial), transition: transition.map(normalized), emission: emission.map(normalized) };
  }

  // The words' numbers; null where anything may stand.
  const observe = ({ words }, tokens) => tokens.map((token) => (words.includes(token) ? words.indexOf(token) : null));

  // P(x_t | h_t) of each state, 1 where x_t is unknown.
  const likelihoods = ({ emission }, seen) =>
    seen.map((word) => emission.map((row) => (word === null ? 1 : row[word])));

  // pi (without the observation at its own position), rho, the posterior, and log P(x); pi and rho sum to 1.
  function messages(model, seen) {
    const { initial, transition } = model;
    const scores = likelihoods(model, seen);
    const [pi, rho] = [[initial], [normalized(initial.map(() => 1))]];
    let logLikelihood = 0;
    scores.forEach((score, t) => {
      const filtered = pi[t].map((value, i) => value * score[i]);
      logLikelihood += Math.log(sum(filtered));
      pi.push(normalized(initial.map((_, j) => sum(filtered.map((value, i) => value * transition[i][j])))));
    });
    for (let t = seen.length - 1; t > 0; t -= 1) {
      const behind = rho[0].map((value, j) => value * scores[t][j]);
      rho.unshift(normalized(transition.map((row) => sum(row.map((value, j) => value * behind[j])))));
    }
    const meet = (t) => normalized(pi[t].map((value, i) => value * rho[t][i]));
    const posterior = seen.map((_, t) => normalized(meet(t).map((value, i) => value * scores[t][i])));
    return { pi: pi.slice(0, seen.length), rho, meet, posterior, scores, logLikelihood };
  }

  // P(x_t | all others) of every word.
  function wordAt(model, seen, t) {
    const states = messages(model, seen).meet(t);
    return model.words.map((_, word) => sum(states.map((value, i) => value * model.emission[i][word])));
  }

  // The same from what stands on one side alone.
  const fromLeft = (model, seen, t) => wordAt(model, seen.map((word, i) => (i < t ? word : null)), t);
  const fromRight = (model, seen, t) => wordAt(model, seen.map((word, i) => (i > t ? word : null)), t);

  // The likeliest states together: {path, logProbability, best: of the paths that end in a state, from}.
  function viterbi(model, seen) {
    const scores = likelihoods(model, seen);
    const best = [model.initial.map((value, i) => Math.log(value) + Math.log(scores[0][i]))];
    const from = [[]];
    for (let t = 1; t < seen.length; t += 1) {
      const ways = model.tags.map((_, j) => best[t - 1].map((value, i) => value + Math.log(model.transition[i][j])));
      from.push(ways.map((way) => way.indexOf(Math.max(...way))));
      best.push(ways.map((way, j) => Math.max(...way) + Math.log(scores[t][j])));
    }
    const logProbability = Math.max(...best.at(-1));
    const path = [best.at(-1).indexOf(logProbability)];
    for (let t = seen.length - 1; t > 0; t -= 1) path.unshift(from[t][path[0]]);
    return { path, logProbability, best, from };
  }

  if (typeof module !== "undefined") {
    module.exports = { estimate, observe, messages, wordAt, fromLeft, fromRight, viterbi, TAGGED };
    return;
  }

  const SENTENCES = ["I am ___ hungry .", "the ___ light is red .", "they can fish .", "I light the light fire .", "the can can light ."];
  const BLANKS = ["I am ___ .", "I am ___ hungry .", "the ___ light is red .", "___ can eat ___ red fish ."];
  const WORDS = {
    en: {
      sentence: "sentence",
      position: "position",
      views: [["messages", "messages"], ["Viterbi", "viterbi"]],
      training: "The tagged sentences that the model is counted from",
      unknown: (words) => `Not in the training text, so read as a blank: ${words}`,
      meets: (word, tag, p) => `Where the messages meet, at ${word}: ${tag} ${p}`,
      path: (p) => `The likeliest states together, log P(words, tags) ${p}`,
      heads: ["word", "π from the left", "ρ from the right", "posterior", "Viterbi"],
      legend: { "series-0": "from the left", "series-1": "from the right", "series-2": "both" },
      best: { "series-2": "the path" },
      left: "from the left",
      right: "from the right",
      both: "from both sides",
      fill: (word) => `blank ${word}`,
      none: "No blank: write ___ where a word is missing.",
      empty: "Write a sentence.",
    },
    zh: {
      sentence: "句子",
      position: "位置",
      views: [["消息", "messages"], ["维特比", "viterbi"]],
      training: "模型由这些带标注的句子计数得到",
      unknown: (words) => `训练文本里没有，当作空格：${words}`,
      meets: (word, tag, p) => `两条消息在 ${word} 处相遇：${tag} ${p}`,
      path: (p) => `整体最可能的状态，log P(词, 标注) ${p}`,
      heads: ["词", "π 来自左边", "ρ 来自右边", "后验", "维特比"],
      legend: { "series-0": "来自左边", "series-1": "来自右边", "series-2": "两边" },
      best: { "series-2": "路径" },
      left: "只看左边",
      right: "只看右边",
      both: "看两边",
      fill: (word) => `空格 ${word}`,
      none: "没有空格：在缺词处写 ___。",
      empty: "请写一个句子。",
    },
  };

  const { make, draw, drawing, labelled, slider, textField, textArea, buttons, choice, table, legend, bars } = window.live;
  const NAMES = 76; // px for the tags' names
  const COLUMN = 56;
  const ROW = 24;

  class LiveHmm extends window.live.Figure {
    static WORDS = WORDS;

    build(words) {
      const show = () => this.show();
      this.fills = this.getAttribute("view") === "blank";
      const examples = this.fills ? BLANKS : SENTENCES;
      this.text = textField(examples[0], show);
      this.training = textArea(TAGGED.trim(), show, { rows: 6 });
      this.training.setAttribute("aria-label", words.training);
      this.position = slider(words.position, { min: 1, max: 5, step: 1, value: 3, text: String }, show);
      this.view = choice("", words.views, "messages", show);
      this.said = make("p", { ariaLive: "polite" });
      this.found = make("div");
      return [
        labelled(words.sentence, this.text),
        buttons(examples.map((text) => [text, text]), (text) => {
          this.text.value = text;
          this.show();
        }),
        ...(this.fills ? [] : [this.view.node, this.position.node]),
        this.said,
        this.found,
        make("details", {}, make("summary", {}, words.training), this.training),
      ];
    }

    show() {
      const { words } = this;
      const tokens = this.text.value.split(/\s+/).filter(Boolean);
      const model = estimate(this.training.value);
      if (!tokens.length || !model.tags.length) {
        this.said.textContent = words.empty;
        this.found.replaceChildren();
        return;
      }
      const seen = observe(model, tokens);
      const unknown = tokens.filter((token, t) => seen[t] === null && token !== BLANK);
      const notes = unknown.length ? [words.unknown(unknown.join(", "))] : [];
      if (this.fills) this.showBlanks(model, tokens, seen, notes);
      else this.showChain(model, tokens, seen, notes);
    }

    showBlanks(model, tokens, seen, notes) {
      const { words } = this;
      const blanks = seen.flatMap((word, t) => (word === null ? [t] : []));
      this.said.replaceChildren([...notes, ...(blanks.length ? [] : [words.none])].join(" "));
      const sides = [[words.left, fromLeft, "series-0"], [words.right, fromRight, "series-1"], [words.both, wordAt, "series-2"]];
      this.found.replaceChildren(...blanks.map((t) => {
        const shown = [...tokens.slice(Math.max(t - 2, 0), t), "▁", ...tokens.slice(t + 1, t + 3)].join(" ");
        return make("div", {}, make("p", {}, make("b", {}, words.fill(shown))), make("div", { className: "live-columns" },
          ...sides.map(([name, of, className]) => bars(name, top(of(model, seen, t), model.words, 5), className))));
      }));
    }

    showChain(model, tokens, seen, notes) {
      const { words } = this;
      this.position.input.max = tokens.length;
      this.position.set(Math.min(this.position.value, tokens.length));
      const at = this.position.value - 1;
      const told = messages(model, seen);
      const best = viterbi(model, seen);
      const isPath = this.view.value === "viterbi";
      this.position.node.hidden = isPath;
      const [tag] = top(told.posterior[at], model.tags, 1);
      const said = isPath
        ? words.path(best.logProbability.toFixed(2))
        : words.meets(tokens[at], tag[0], tag[1].toFixed(2));
      this.said.textContent = [said, ...notes].join(". ");
      const first = (values) => top(values, model.tags, 1)[0].map((x) => (x.toFixed ? x.toFixed(2) : x)).join(" ");
      const rows = tokens.map((token, t) => ({
        cells: [token, first(told.pi[t]), first(told.rho[t]), first(told.posterior[t]), model.tags[best.path[t]]],
        className: t === at && !isPath ? "chosen" : "",
      }));
      const chain = isPath ? this.path(model, tokens, best, said) : this.chain(model, tokens, told, at, said);
      this.found.replaceChildren(
        make("div", { className: "live-scroll", tabIndex: 0, role: "region", ariaLabel: said }, chain),
        legend(isPath ? words.best : words.legend),
        table(words.heads, rows),
      );
    }

    // Dots in columns of tags, as large as what stands there; `edges` are {t, from, to, share, className}.
    grid(model, tokens, said, sizes, classOf, edges) {
      const column = Math.max(COLUMN, (this.room - NAMES) / tokens.length);
      const width = NAMES + column * tokens.length;
      const x = (t) => NAMES + column * (t + 0.5);
      const y = (i) => 36 + ROW * i;
      const svg = drawing(width, 30 + ROW * model.tags.length, said,
        ...tokens.map((token, t) => draw("text", { class: `column ${classOf(t)}`, x: x(t), y: 14, "text-anchor": "middle" }, token)),
        ...model.tags.map((tag, i) => draw("text", { x: 0, y: y(i) + 4 }, tag)),
        ...edges.map(({ t, from, to, share, className }) =>
          draw("line", { class: `line ${className}`, x1: x(t), y1: y(from), x2: x(t + 1), y2: y(to), "stroke-opacity": share.toFixed(2) })),
        ...sizes.flatMap((values, t) => values.map((value, i) =>
          draw("circle", { class: `dot ${classOf(t, i)}`, cx: x(t), cy: y(i), r: (1.5 + 9 * Math.sqrt(value)).toFixed(1) }))),
      );
      svg.style.width = `${width}px`;
      svg.style.maxWidth = "none";
      return svg;
    }

    chain(model, tokens, { pi, rho, posterior, scores }, at, said) {
      const sizes = tokens.map((_, t) => (t < at ? pi : t > at ? rho : posterior)[t]);
      const edges = [];
      for (let t = 0; t + 1 < tokens.length; t += 1) {
        const isLeft = t < at;
        const shares = model.tags.map((_, i) => model.tags.map((__, j) =>
          isLeft ? pi[t][i] * scores[t][i] * model.transition[i][j] : rho[t + 1][j] * scores[t + 1][j] * model.transition[i][j]));
        const most = Math.max(...shares.flat());
        shares.forEach((row, from) => row.forEach((value, to) => {
          const share = value / most;
          if (share > 0.03) edges.push({ t, from, to, share, className: isLeft ? "series-0" : "series-1" });
        }));
      }
      return this.grid(model, tokens, said, sizes, (t) => (t < at ? "series-0" : t > at ? "series-1" : "series-2"), edges);
    }

    path(model, tokens, { path, best, from }, said) {
      const sizes = best.map((values) => {
        const most = Math.max(...values);
        return normalized(values.map((value) => Math.exp(value - most)));
      });
      const edges = from.flatMap((row, t) => row.map((before, to) => {
        const onPath = path[t] === to && path[t - 1] === before;
        return { t: t - 1, from: before, to, share: onPath ? 1 : 0.35, className: onPath ? "series-2" : "series-0" };
      }));
      return this.grid(model, tokens, said, sizes, (t, i) => (i === undefined || path[t] === i ? "series-2" : "series-0"), edges);
    }
  }

  // The greatest of some values with their names.
  function top(values, names, count) {
    return values.map((value, i) => [names[i], value]).sort((a, b) => b[1] - a[1]).slice(0, count);
  }

  customElements.define("live-hmm", LiveHmm);
})();
