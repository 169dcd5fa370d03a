"""The figure of an unrolled network. Requires the `plot` extra."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.figure import check_figure_name, empty_figure, save_figure
from penstock.tasks.unrolled_graph import Edge, Flow, Graph, Node, NodeKind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FILLS: dict[NodeKind, str] = {
    "input": "#eeeeee",
    "transformer": "#e6e0f0",
    "forward": "#cfe3f5",
    "backward": "#fbdcc4",
    "final": "#ffffff",
    "bridge": "#ffffff",
    "memory": "#e3f1e3",
    "context": "#bfe0bf",
    "pooled": "#bfe0bf",
    "output": "#fff3bf",
}
_INK = "#333333"
_FLOWS: dict[Flow, dict[str, Any]] = {
    "depth": {"color": _INK, "linewidth": 0.9},
    "time": {"color": "#0072B2", "linewidth": 1.3},
    "start": {"color": "#7b4fa3", "linewidth": 1.1},
    "attention": {"color": "#2a8a2a", "linewidth": 0.9},
    "residual": {"color": "#999999", "linewidth": 0.9, "linestyle": (0, (3, 2))},
}
_LEGEND: dict[Flow, str] = {
    "depth": "to what is above",
    "time": "to the next step",
    "start": "encoder's end",
    "residual": "past a layer",
}
_WIDE = ("transformer", "memory", "context", "pooled")  # the nodes that serve many steps
_RADIUS, _SCALE = 0.27, 0.85  # of a node; inches a step


def draw_dependencies(graph: Graph, path: Path) -> None:
    """Draw the nodes, the flow of information as arrows, and a legend.

    Raises:
        MissingExtraError: matplotlib is not installed.
        UsageError: the figure's suffix names no format that we draw.
    """
    check_figure_name(path)
    xs = [node.x for node in graph.nodes.values()]
    ys = [node.y for node in graph.nodes.values()]
    left, right = min(xs) - 0.6, max(xs) + 0.6
    low, high = min(ys) - (1.1 if graph.parts else 0.8), max(ys) + 0.4
    figure = empty_figure(max(_SCALE * (right - left), 4.2), _SCALE * (high - low))
    axes = figure.subplots()
    axes.set(xlim=(left, right), ylim=(low, high), aspect="equal")
    axes.axis("off")
    axes.set_title(graph.title, fontsize=9, color=_INK)
    bands = {name: _band(graph, name) for name in graph.nodes if name in _WIDE}
    for edge in graph.edges:
        _draw_edge(axes, graph, edge, bands)
    for node in graph.nodes.values():
        _draw_node(axes, node, bands.get(node.name))
    for name, x in graph.parts.items():
        axes.text(x, low + 0.45, name, ha="center", fontsize=9, style="italic", color=_INK)
    _draw_legend(axes, graph)
    save_figure(figure, path)


def _band(graph: Graph, name: str) -> tuple[float, float]:
    """The horizontal extent of a node that serves many steps: over all of them."""
    kind = graph.nodes[name].kind
    near = [edge.target for edge in graph.edges if edge.source == name]
    if kind != "context":
        near += [edge.source for edge in graph.edges if edge.target == name]
    xs = [graph.nodes[other].x for other in near]
    return min(xs) - 0.4, max(xs) + 0.4


def _draw_node(axes: Axes, node: Node, band: tuple[float, float] | None) -> None:
    from matplotlib.patches import Circle, FancyBboxPatch

    style: dict[str, Any] = {"facecolor": _FILLS[node.kind], "edgecolor": _INK, "linewidth": 0.8}
    x = node.x
    if band is not None:
        start, end = band
        high = 0.72 if node.kind == "memory" else 0.4
        axes.add_patch(
            FancyBboxPatch(
                (start, node.y - high / 2),
                end - start,
                high,
                boxstyle="round,pad=0,rounding_size=0.15",
                zorder=1.5 if node.kind == "memory" else 3,
                **style,
            )
        )
        x = start + 0.55 if node.kind == "memory" else (start + end) / 2
    elif node.kind in ("forward", "backward", "context", "final"):
        axes.add_patch(Circle((node.x, node.y), _RADIUS, zorder=3, **style))
    else:
        width = 2 * _RADIUS + (0.1 if len(node.label) > 3 and "$" not in node.label else 0)
        axes.add_patch(
            FancyBboxPatch(
                (node.x - width / 2, node.y - 0.21),
                width,
                0.42,
                boxstyle="round,pad=0,rounding_size=0.08",
                zorder=3,
                **style,
            )
        )
    axes.text(x, node.y, node.label, ha="center", va="center", fontsize=8, zorder=4, color="black")


def _draw_edge(axes: Axes, graph: Graph, edge: Edge, bands: dict[str, tuple[float, float]]) -> None:
    from matplotlib.patches import FancyArrowPatch

    source, target = graph.nodes[edge.source], graph.nodes[edge.target]
    if edge.flow == "attention":
        return  # the context stands inside the memory that it looks at
    start, end = (source.x, source.y), (target.x, target.y)
    shrink_start = _RADIUS * _SCALE * 72
    shrink_end = (0.33 if target.kind == "bridge" else _RADIUS) * _SCALE * 72
    bend = 0.0
    straight = source.x == target.x
    if source.kind == "pooled":
        pass
    elif source.kind == "transformer":
        start, shrink_start = (target.x, source.y + 0.2), 0
    elif edge.source in bands:  # from below, round the input
        start, shrink_start, bend = (target.x + 0.3, source.y + 0.2), 0, 0.25
    elif edge.target in bands and target.y > source.y:
        past = edge.flow == "residual"
        high = 0.36 if target.kind == "memory" else 0.2
        end, shrink_end = (source.x + 0.1 * past, target.y - high), 0
        bend = 0.25 if past else 0.0
    elif edge.target in bands:
        end, shrink_end, bend = (bands[edge.target][0] + 0.12, target.y + 0.2), 0, -0.15
    elif edge.flow == "residual":
        bend = 0.35 if straight else 0.0
    elif edge.flow == "start" and target.x - source.x > 1.5:
        bend = -0.3 if target.y <= source.y else 0.0
    elif edge.flow == "start" and target.y - source.y > 1.5:
        bend = -0.12
    elif target.kind == "output" and source.kind == "forward" and target.x > source.x + 1:
        bend = 0.3  # between the states of the other direction
    elif edge.flow == "depth" and straight and target.y - source.y > 1.9:
        bend = -0.28  # round the node between
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>,head_length=4,head_width=2",
            shrinkA=shrink_start,
            shrinkB=shrink_end,
            connectionstyle=f"arc3,rad={bend}",
            zorder=2,
            **_FLOWS[edge.flow],
        )
    )


def _draw_legend(axes: Axes, graph: Graph) -> None:
    from matplotlib.lines import Line2D

    flows = {edge.flow for edge in graph.edges}
    lines = [
        Line2D([], [], label=label, **_FLOWS[flow])
        for flow, label in _LEGEND.items()
        if flow in flows
    ]
    axes.legend(
        handles=lines, loc="lower center", ncols=len(lines), fontsize=7, frameon=False,
        bbox_to_anchor=(0.5, -0.02),
    )  # fmt: skip
