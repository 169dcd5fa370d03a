"""The graph of a network unrolled over a few time steps: nodes and edges with coordinates.

An edge is a flow of information: a token influences an output exactly if there is a path, just as
the gradients of the real network show. Embeddings, bridges and readouts, which treat each position
separately, belong to the edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from penstock.config import ModelConfig, RunConfig
from penstock.errors import UsageError
from penstock.tasks import TASKS

NodeKind = Literal[
    "input",
    "transformer",
    "forward",
    "backward",
    "final",
    "bridge",
    "memory",
    "context",
    "pooled",
    "output",
]
Flow = Literal["depth", "time", "start", "attention", "residual"]
MAX_STEPS = 12
_DEPTH_OF_TWO = 1.75  # rows that a layer of two directions takes
_ARROWS = {"forward": "\\overrightarrow", "backward": "\\overleftarrow"}
_ASIDE, _ABOVE = 0.25, 0.62  # where the backward state stands from the forward one


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the unrolled network.

    Attributes:
        name: its own, such as `encoder.forward.2.1` (layer 2, step 1).
        kind: what it is.
        label: what is written on it, in TeX.
        x, y: its place; a step is 1 to the right, a layer 1 up.
    """

    name: str
    kind: NodeKind
    label: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge from a value to one that is computed from it.

    Attributes:
        source, target: names of nodes.
        flow: over `depth`, over `time`, as the `start` of a decoder, by `attention`, or past a
            layer (`residual`).
    """

    source: str
    target: str
    flow: Flow


@dataclass(slots=True)
class Graph:
    """An unrolled network.

    Attributes:
        title: what is drawn, in words.
        nodes: by name.
        edges: in no particular order.
        parts: name and the middle of its steps, such as the encoder's.
    """

    title: str
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    edges: list[Edge] = field(default_factory=list[Edge])
    parts: dict[str, float] = field(default_factory=dict[str, float])

    def add(self, name: str, kind: NodeKind, label: str, x: float, y: float) -> str:
        """A node; its name, for edges."""
        self.nodes[name] = Node(name, kind, label, x, y)
        return name

    def join(self, sources: Sequence[str], target: str, flow: Flow = "depth") -> None:
        """An edge from each source."""
        self.edges += [Edge(source, target, flow) for source in sources]

    def reaches(self, source: str) -> set[str]:
        """Everything computed from a node, by any path."""
        after: dict[str, list[str]] = {}
        for edge in self.edges:
            after.setdefault(edge.source, []).append(edge.target)
        found: set[str] = set()
        waiting = [source]
        while waiting:
            new = set(after.get(waiting.pop(), ())) - found
            found |= new
            waiting += new
        return found


def unroll(config: RunConfig, steps: int) -> Graph:
    """Unroll the configured network over `steps` tokens per side.

    Raises:
        UsageError: fewer than 2 or too many steps, or a task without a graph.
    """
    if not 2 <= steps <= MAX_STEPS:
        raise UsageError(f"{steps} steps: a figure has 2 to {MAX_STEPS}")
    draw = TASKS[config.task].unroll
    if draw is None:
        raise UsageError(f"task = {config.task!r}: its network has no drawing")
    return draw(config, steps)


def one_stack_title(config: RunConfig) -> str:
    """The title for a task with one stack."""
    model = config.model
    layers = counted_layers(model.num_layers)
    return f"{config.task}: {model.cell.upper()}, {layers}{each_direction(config)}"


def counted_layers(number: int) -> str:
    """A number of layers in words."""
    return f"{number} layer{'s' if number > 1 else ''}"


def each_direction(config: RunConfig) -> str:
    """What follows a number of layers that each direction has."""
    return " in each direction" if config.model.bidirectional else ""


@dataclass(frozen=True, slots=True)
class Feed:
    """The input of the next layer at one step: nodes to read, and nodes of residual connections."""

    reads: list[str]
    past: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Stack:
    """A recurrent stack in the graph.

    Attributes:
        feeds: what each step gives.
        finals: for each layer its last states, one a direction.
        firsts: for each layer the states that begin, one a direction.
        top: its height.
    """

    feeds: list[Feed]
    finals: list[list[str]]
    firsts: list[list[str]]
    top: float


def connect(graph: Graph, feed: Feed, node: str) -> None:
    """Edges from what a step gives to a node."""
    graph.join(feed.reads, node)
    graph.join(feed.past, node, "residual")


def add_stack(
    graph: Graph,
    name: str,
    feeds: list[Feed],
    *,
    layers: int,
    directions: Sequence[NodeKind] = ("forward",),
    letter: str = "h",
    first_layer: int = 1,
    first_step: int = 1,
    pair: int | None = None,
    x: float,
    y: float,
    residual: Sequence[int] = (),
) -> Stack:
    """Layers over steps, from `first_layer` on; those in `residual` add their input.

    A stack of one direction that stands beside another has its place in the `pair`, 0 or 1.
    """
    both = len(directions) > 1 or pair is not None
    finals: list[list[str]] = []
    firsts: list[list[str]] = []
    for layer in range(first_layer, first_layer + layers):
        height = y + (layer - first_layer) * (_DEPTH_OF_TWO if both else 1)
        rows: list[list[str]] = []
        for place, kind in enumerate(directions, start=pair or 0):
            row = [
                graph.add(
                    f"{name}.{kind}.{layer}.{step + 1}",
                    kind,
                    _state_label(letter, step + first_step, layer, kind if both else None),
                    x + step + (_ASIDE * (2 * place - 1) if both else 0),
                    height + place * _ABOVE,
                )
                for step in range(len(feeds))
            ]
            for feed, node in zip(feeds, row, strict=True):
                graph.join(feed.reads, node)
                # states are added direction by direction; what is below all is one input
                past = feed.past[place : place + 1] or feed.past
                graph.join(past, node, "residual")
            order = row[::-1] if kind == "backward" else row
            for before, after in pairwise(order):
                graph.join([before], after, "time")
            rows.append(row)
        firsts.append(
            [r[-1 if k == "backward" else 0] for r, k in zip(rows, directions, strict=True)]
        )
        finals.append(
            [r[0 if k == "backward" else -1] for r, k in zip(rows, directions, strict=True)]
        )
        columns = [list(column) for column in zip(*rows, strict=True)]
        feeds = [
            Feed(column, feed.reads if layer in residual else [])
            for column, feed in zip(columns, feeds, strict=True)
        ]
    top = y + (layers - 1) * (_DEPTH_OF_TWO if both else 1) + (_ABOVE if both else 0)
    return Stack(feeds, finals, firsts, top)


def _state_label(letter: str, step: int, layer: int, direction: NodeKind | None) -> str:
    arrow = "" if direction is None else _ARROWS[direction]
    return f"${arrow}{{{letter}}}_{{{step}}}^{{({layer})}}$"


def add_inputs(
    graph: Graph, name: str, labels: Sequence[str], x: float, y: float = 0
) -> list[Feed]:
    """Input nodes, a step each."""
    return [
        Feed([graph.add(f"{name}.{step + 1}", "input", label, x + step, y)])
        for step, label in enumerate(labels)
    ]


def add_source(graph: Graph, model: ModelConfig, steps: int) -> tuple[list[Feed], float, int]:
    """Add the source: the feeds of a stack, the stack's height, and the width of its input."""
    inputs = add_inputs(graph, "input", numbered("x", 1, steps), 0)
    if model.transformer is None:
        return inputs, 1, model.embedding_size
    band = graph.add("transformer", "transformer", "transformer", (steps - 1) / 2, 1)
    for feed in inputs:
        connect(graph, feed, band)
    # its width stands in its own files; 0 agrees with no layer's
    return [Feed([band]) for _ in inputs], 2, 0


def add_outputs(
    graph: Graph, feeds: Sequence[Feed], letter: str, *, first: int = 1, x: float, y: float
) -> None:
    """Output nodes, a step each."""
    for step, feed in enumerate(feeds):
        label = f"${letter}_{{{step + first}}}$"
        connect(graph, feed, graph.add(f"output.{step + 1}", "output", label, x + step, y))


def numbered(letter: str, first: int, count: int) -> list[str]:
    """A letter with numbers, in TeX."""
    return [f"${letter}_{{{number}}}$" for number in range(first, first + count)]


def residual_layers(model: ModelConfig, first_width: int, width: int, layers: int) -> list[int]:
    """The layers that add their input: where residual is on and the widths agree."""
    if not model.residual:
        return []
    return [layer for layer in range(1, layers + 1) if layer > 1 or first_width == width]


def directions_of(model: ModelConfig) -> Sequence[NodeKind]:
    """Both directions, or the forward one."""
    return ("forward", "backward") if model.bidirectional else ("forward",)
