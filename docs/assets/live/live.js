// What the figures share. A page names a figure by its element, <live-bleu>; its script, bleu.js here,
// is loaded on the pages that have it, and what has an underscore in its name by such a script. A figure's
// numbers come from functions that need no page: Node.js requires the same scripts in the tests.
"use strict";

window.live = (() => {
  const HERE = document.currentScript.src;
  const SVG = "http://www.w3.org/2000/svg";

  function make(tag, properties = {}, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  }

  function draw(tag, attributes = {}, ...children) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  // A drawing; `said` is what those hear who do not see it.
  function drawing(width, height, said, ...children) {
    return draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": said }, ...children);
  }

  const row = (...children) => make("div", { className: "live-row" }, ...children);

  // A row of one input under its name, and what else stands beside it.
  const labelled = (name, input, ...beside) =>
    row(make("label", {}, name instanceof Node ? name : make("span", {}, name), input, ...beside));

  // A slider with its value beside it: {node, value, set}.
  function slider(name, { min = 0, max = 1, step = 0.01, value, text = (x) => x.toFixed(2) }, changed) {
    const input = make("input", { type: "range", min, max, step, value });
    const output = make("output");
    const tell = () => {
      output.textContent = text(Number(input.value));
      input.setAttribute("aria-valuetext", output.textContent);
    };
    input.addEventListener("input", () => {
      tell();
      changed();
    });
    tell();
    return {
      node: labelled(name, input, output),
      input,
      get value() {
        return Number(input.value);
      },
      set(given) {
        input.value = given;
        tell();
      },
    };
  }

  const textField = (value, changed, properties = {}) =>
    make("input", { type: "text", value, dir: "auto", spellcheck: false, autocomplete: "off", oninput: changed, ...properties });

  const textArea = (value, changed, properties = {}) =>
    make("textarea", { value, dir: "auto", spellcheck: false, oninput: changed, ...properties });

  const button = (textContent, onclick) => make("button", { type: "button", textContent, onclick });

  // Buttons for [name, value]; `chosen` is given the value.
  const buttons = (choices, chosen) => row(...choices.map(([name, value]) => button(name, () => chosen(value))));

  // Buttons of which one is pressed: {node, value, set}.
  function choice(name, choices, value, changed) {
    const made = choices.map(([text, own]) => button(text, () => (set(own), changed())));
    const all = { node: row(...(name ? [make("span", {}, name)] : []), ...made), value, set };
    all.node.role = "group";
    if (name) all.node.ariaLabel = name;
    function set(given) {
      all.value = given;
      choices.forEach(([, own], i) => made[i].setAttribute("aria-pressed", own === given));
    }
    set(value);
    return all;
  }

  // A table that scrolls in itself; the first cell of a row is its heading.
  function table(heads, rows) {
    const cell = (tag, value, properties = {}) => make(tag, { dir: "auto", ...properties }, value);
    const body = rows.map(({ cells: [first, ...others], className = "" }) =>
      make("tr", { className }, cell("th", first, { scope: "row" }), ...others.map((each) => cell("td", each))),
    );
    const head = make("tr", {}, ...heads.map((each) => cell("th", each, { scope: "col" })));
    return make("div", { className: "live-scroll", tabIndex: 0, role: "region", ariaLabel: heads.join(", ") },
      make("table", { className: "live-table" }, make("thead", {}, head), make("tbody", {}, ...body)));
  }

  // Lines over a grid: `x` and `y` are {from, to, ticks: [value, name]}; `lines` {className, points: [x, y]}.
  function plot({ width, height = 190, x, y, lines, said, more = () => [] }) {
    const [left, right, top, bottom] = [44, 12, 10, 24];
    const across = (value) => left + ((value - x.from) / (x.to - x.from)) * (width - left - right);
    const up = (value) => height - bottom - ((value - y.from) / (y.to - y.from)) * (height - top - bottom);
    const grid = y.ticks.flatMap(([value, name]) => [
      draw("line", { class: "axis", x1: left, x2: width - right, y1: up(value), y2: up(value) }),
      draw("text", { x: left - 6, y: up(value) + 4, "text-anchor": "end" }, name),
    ]);
    const names = x.ticks.map(([value, name]) => draw("text", { x: across(value), y: height - 6, "text-anchor": "middle" }, name));
    const paths = lines.map(({ className, points }) =>
      draw("polyline", { class: `line ${className}`, points: points.map(([a, b]) => `${across(a)},${up(b)}`).join(" ") }),
    );
    return drawing(width, height, said, ...grid, ...names, ...paths, ...more(across, up));
  }

  // What a plot's lines are: {className: name}.
  const legend = (names) =>
    make("p", { className: "live-legend" }, ...Object.entries(names).map(([className, name]) =>
      make("span", { className }, name)));

  // Numbers as bars, that of 1 or the greatest in full: `rows` are [name, number].
  function bars(name, rows, className = "series-0") {
    const most = Math.max(1, ...rows.map(([, value]) => value));
    return make("figure", { className: "live-bars" }, make("figcaption", {}, name), make("ul", {}, ...rows.map(([own, value]) => {
      const bar = make("span", { className: `bar ${className}` });
      bar.style.width = `${((5 * Math.max(0, value)) / most).toFixed(2)}em`;
      return make("li", {}, make("bdi", {}, own), make("span", {}, value.toFixed(2)), bar);
    })));
  }

  // A figure builds its nodes once and shows its numbers after each change.
  class Figure extends HTMLElement {
    // How wide a drawing may be for its text to be read at its own size.
    get room() {
      return Math.max(240, Math.min(560, this.clientWidth - 32));
    }

    connectedCallback() {
      if (this.words) return;
      const { WORDS } = this.constructor;
      this.words = WORDS[this.lang] ?? WORDS.en;
      this.classList.add("live");
      this.replaceChildren(...this.build(this.words));
      this.show();
      let { room } = this;
      window.addEventListener("resize", () => {
        if (room !== (room = this.room)) this.show();
      });
    }
  }

  const loaded = new Map(); // promises by path

  function load(path) {
    if (!loaded.has(path)) loaded.set(path, new Promise((resolve, reject) => {
      const script = make("script", { src: new URL(path, HERE).href, onload: resolve });
      script.onerror = () => reject(new Error(path));
      document.head.append(script);
    }));
    return loaded.get(path);
  }

  function start() {
    const names = new Set(Array.from(document.querySelectorAll("*"), (node) => node.localName));
    for (const name of names) if (name.startsWith("live-")) load(`${name.slice(5)}.js`);
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();

  return {
    Figure, make, draw, drawing, row, labelled, slider, textField, textArea, button, buttons, choice, table, plot, legend, bars, load,
  };
})();
