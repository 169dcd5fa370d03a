// The beam tree as SVG. A state is told by shape as well as by colour.

import { draw, drawing } from "./dom.js";
import { fitted, percentOfLog, shownPiece } from "./pieces.js";
import { say } from "./strings.js";
import { isPruned, placed } from "./tree_layout.js";

// `best`: the ids on the way to the best; `onMark(node)` is called for a node that is pointed at
// or clicked; the rest of the view is as `placed` takes it.
export function treeDrawing(steps, { best, ...view }, onMark) {
  const { column } = view;
  const { places, height, width } = placed(steps, view);
  const edges = draw("g", { class: "edges", "aria-hidden": "true" });
  const nodes = draw("g", { class: "nodes" });
  const above = draw("g", {}); // the best way is not crossed out by others
  for (const place of places.values()) {
    const parent = places.get(place.node.parent);
    if (parent) (best.has(place.node.id) ? above : edges).append(...edge(parent, place, best, column));
    nodes.append(treeNode(place, best, column, onMark));
  }
  edges.append(above);
  const name = say("treeName");
  const svg = drawing(width, height, name, say("treeMean"), edges, nodes);
  svg.classList.add("tree");
  return svg;
}

function kindOf(node, best) {
  if (isPruned(node)) return "pruned";
  if (node.state === "unseen") return "unseen";
  return best.has(node.id) ? "best" : "kept";
}

function edge(from, to, best, column) {
  const start = from.x + column - 20;
  const middle = (start + to.x) / 2;
  const d = `M${from.x + 7} ${from.y}H${start}C${middle} ${from.y} ${middle} ${to.y} ${to.x - 7} ${to.y}`;
  const paths = [draw("path", { class: `edge ${kindOf(to.node, best)}`, d })];
  if (to.node.exact) paths.push(draw("path", { class: "edge exact", d }));
  return paths;
}

function treeNode({ node, x, y }, best, column, onMark) {
  const kind = kindOf(node, best);
  const label = node.parent === null ? say("pieceStart") : shownPiece(node.token);
  const share = node.parent === null ? "" : percentOfLog(node.log_probability);
  const small = isPruned(node);
  const text = fitted(label, small ? column - 54 : column - 30);
  return draw(
    "g",
    {
      class: `node ${kind} ${node.state}${node.exact ? " exact" : ""}`,
      "data-id": node.id,
      transform: `translate(${x} ${y})`,
      pointerover: () => onMark(node),
      click: () => onMark(node),
    },
    draw("rect", { class: "hit", x: -9, y: small ? -9 : -19, width: column - 4, height: small ? 18 : 38 }),
    nodeMark(node.state === "finished" || node.score !== null ? "finished" : kind),
    node.exact ? draw("path", { class: "exact-mark", d: "M0 -9L9 0L0 9L-9 0Z" }) : null,
    draw("text", { x: 11, y: small ? 0 : -10, "dominant-baseline": "central" }, text),
    draw(
      "text",
      {
        class: "share",
        x: small ? column - 26 : 11,
        y: small ? 0 : 10.5,
        "text-anchor": small ? "end" : "start",
        "dominant-baseline": "central",
      },
      share,
    ),
  );
}

// Kept: a disc; pruned: a cross; finished: a square; unseen: an empty ring.
export function nodeMark(kind) {
  if (kind === "pruned") return draw("path", { class: "mark", d: "M-3 -3L3 3M3 -3L-3 3" });
  if (kind === "finished") {
    return draw("rect", { class: "mark", x: -4.5, y: -4.5, width: 9, height: 9, rx: 1 });
  }
  return draw("circle", { class: "mark", r: kind === "unseen" ? 4 : 4.5 });
}
