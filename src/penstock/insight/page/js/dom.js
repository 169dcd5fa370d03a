// Making nodes. Text goes in as text, never as markup.

const SVG_SPACE = "http://www.w3.org/2000/svg";

function furnish(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

// An HTML element. A function as attribute is a listener for the event of that name.
export function make(tag, attributes = {}, ...children) {
  return furnish(document.createElement(tag), attributes, children);
}

// An SVG element, likewise.
export function draw(tag, attributes = {}, ...children) {
  return furnish(document.createElementNS(SVG_SPACE, tag), attributes, children);
}

// A whole drawing at its natural size, with a name and a description for those who do not see it.
export function drawing(width, height, name, description, ...children) {
  const id = `drawing-${(drawing.count = (drawing.count ?? 0) + 1)}`;
  return draw(
    "svg",
    {
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "group",
      "aria-labelledby": `${id}-name ${id}-description`,
    },
    draw("title", { id: `${id}-name` }, name),
    draw("desc", { id: `${id}-description` }, description),
    ...children,
  );
}

export function fill(parent, ...children) {
  parent.replaceChildren(...children.flat(Infinity).filter((child) => child !== null));
  return parent;
}

export function byId(id) {
  return document.getElementById(id);
}

// A group of radio buttons in one line; `options` are [value, label].
export function radios(legend, options, chosen, onChoose) {
  const name = `choice-${(radios.count = (radios.count ?? 0) + 1)}`;
  return make(
    "fieldset",
    { class: "choices" },
    make("legend", {}, legend),
    options.map(([value, label]) =>
      make(
        "label",
        {},
        make("input", {
          type: "radio",
          name,
          value,
          checked: value === chosen,
          change: () => onChoose(value),
        }),
        make("span", {}, label),
      ),
    ),
  );
}

// A table with its caption; the first cell of each row is the row's heading.
export function table(caption, heads, rows) {
  return make(
    "table",
    {},
    make("caption", {}, caption),
    make("thead", {}, make("tr", {}, heads.map((head) => make("th", { scope: "col" }, head)))),
    make(
      "tbody",
      {},
      rows.map(([first, ...rest]) =>
        make(
          "tr",
          {},
          make("th", { scope: "row", dir: "auto" }, first),
          rest.map((cell) => make("td", { dir: "auto" }, cell)),
        ),
      ),
    ),
  );
}

// The figure again as text, closed until asked for. It is filled when it opens.
export function asText(summary, content) {
  const body = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": summary });
  const details = make("details", { class: "as-text" }, make("summary", {}, summary), body);
  details.addEventListener("toggle", () => {
    if (details.open && !body.hasChildNodes()) body.append(content());
  });
  return details;
}

// A share of 1 as a short bar; the number beside it says the same.
export function bar(share) {
  return draw(
    "svg",
    { class: "bar", width: 64, height: 6, viewBox: "0 0 64 6", "aria-hidden": "true" },
    draw("rect", { class: "rail", width: 64, height: 6, rx: 3 }),
    draw("rect", { class: "ink-accent", width: Math.max(2, 64 * share), height: 6, rx: 3 }),
  );
}
