"""The rows of a beam tree's hypotheses in a figure, each beside its likeliest child.

A still figure shows the whole tree, thinned. The page shows one step at a time with all that fell
out there, and has a layout of its own (`page/js/tree_layout.js`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from penstock.insight.inspection import Node

_PRUNED = 2  # pruned children drawn per node; all of them would fill most of the figure


def place_nodes(nodes: Sequence[Node]) -> dict[int, int]:
    """The row of each node that is drawn, by id, 0 at the top.

    Of the pruned ones, the likeliest of each hypothesis are drawn, and the optimum's whole path.

    Args:
        nodes: a parent before its children.
    """
    children: dict[int, list[Node]] = defaultdict(list)
    for node in nodes:
        if node.parent is not None:
            children[node.parent].append(node)
    for parent, own in children.items():
        pruned = [node for node in own if node.state == "pruned" and not node.exact]
        hidden = sorted(pruned, key=lambda node: -node.log_probability)[_PRUNED:]
        drawn = [node for node in own if node not in hidden]
        children[parent] = sorted(drawn, key=lambda node: -node.log_probability)
    order: list[Node] = []
    waiting = [nodes[0]]
    while waiting:  # no recursion: outputs can be hundreds of tokens long
        node = waiting.pop()
        order.append(node)
        waiting += reversed(children[node.id])
    leaves = [node.id for node in order if not children[node.id]]
    places = {leaf: row for row, leaf in enumerate(leaves)}
    for node in reversed(order):
        own = children[node.id]
        if own:  # in line with the likeliest
            places[node.id] = places[own[0].id]
    return places
