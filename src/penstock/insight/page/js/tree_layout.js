// Where the nodes of a beam tree stand: a column for each step, children near their parents.
// The page shows one step at a time with all that fell out there; the still figures of
// `penstock inspect` show the whole tree thinned, and have a layout of their own (tree_layout.py).

const KEPT_ROW = 40;
const PRUNED_ROW = 19;

export function isPruned(node) {
  return node.state === "pruned";
}

// The nodes by step, each step in the order of its parents, so that edges do not cross.
export function byStep(tree) {
  const steps = [];
  for (const node of tree.nodes) (steps[node.step] ??= []).push(node);
  let order = new Map([[null, 0]]);
  for (const nodes of steps) {
    const rank = (node) => order.get(node.parent) ?? Infinity;
    nodes.sort((a, b) => rank(a) - rank(b) || b.total - a.total);
    order = new Map(nodes.map((node, place) => [node.id, place]));
  }
  return steps;
}

// Places {x, y} by id for steps `first` to `current`. Where `pruned`, all candidates of the step
// `current` are drawn; of the steps before only those that the search went on with. `column`: px.
export function placed(steps, { first, current, pruned, column }) {
  const shown = [];
  for (let step = first; step <= current; step += 1) {
    const all = pruned && step === current;
    shown.push(all ? steps[step] : steps[step].filter((node) => !isPruned(node)));
  }
  const heights = shown.map((nodes) => nodes.reduce((sum, node) => sum + rowOf(node), 0));
  const height = Math.max(...heights, 5 * KEPT_ROW);
  const places = new Map();
  shown.forEach((nodes, place) => {
    let y = (height - heights[place]) / 2;
    for (const node of nodes) {
      places.set(node.id, { node, x: 16 + place * column, y: y + rowOf(node) / 2 });
      y += rowOf(node);
    }
  });
  return { places, height, width: 16 + shown.length * column };
}

function rowOf(node) {
  return isPruned(node) ? PRUNED_ROW : KEPT_ROW;
}

// The ids on the way from the start to a node, that node first.
export function pathTo(tree, id) {
  const byNode = new Map(tree.nodes.map((node) => [node.id, node]));
  const path = [];
  for (let node = byNode.get(id); node; node = byNode.get(node.parent)) path.push(node);
  return path;
}
