"""What depends on what in a configured network, unrolled over a few steps: plain data.

`unroll` gives nodes and edges with places on a plane. An edge says that information flows: a token
reaches an output exactly when a path leads there, as the gradients of the real network have it.
Embeddings, bridges and readouts are parts of the edges; they pass each position on by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from penstock.config import ModelConfig, RunConfig
from penstock.errors import UsageError

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
    """From a value to another that is computed from it.

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
    """The configured network over `steps` tokens a side.

    Raises:
        UsageError: fewer than 2 steps, or more than can be drawn.
    """
    if not 2 <= steps <= MAX_STEPS:
        raise UsageError(f"{steps} steps: a figure has 2 to {MAX_STEPS}")
    graph = Graph(_title(config))
    if config.task == "translation":
        _translation(graph, config.model, steps)
    elif config.task == "language-model":
        _language_model(graph, config.model, steps)
    elif config.task == "classification":
        _classification(graph, config.model, steps)
    else:
        _cloze(graph, config.model, steps)
    return graph


def _title(config: RunConfig) -> str:
    model = config.model
    if config.task != "translation":
        layers = _counted(model.num_layers, "layer")
        return f"{config.task}: {model.cell.upper()}, {layers}{_sides(config)}"
    return (
        f"translation: {model.cell.upper()}, "
        f"encoder of {_counted(model.encoder_layers, 'layer')}{_sides(config)}, "
        f"decoder of {_counted(model.decoder_layers, 'layer')}, "
        + (f"{model.attention} attention" if model.attention != "none" else "no attention")
    )


def _sides(config: RunConfig) -> str:
    return " in each direction" if config.model.bidirectional else ""


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number > 1 else ''}"


# --- the parts ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Feed:
    """What one step gives to what is above it: nodes to read, and nodes added by a residual."""

    reads: list[str]
    past: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class _Stack:
    """A recurrent stack in the graph.

    Attributes:
        feeds: what each step gives.
        finals: for each layer its last states, one a direction.
        firsts: for each layer the states that begin, one a direction.
        top: its height.
    """

    feeds: list[_Feed]
    finals: list[list[str]]
    firsts: list[list[str]]
    top: float


def _feed(graph: Graph, feed: _Feed, node: str) -> None:
    graph.join(feed.reads, node)
    graph.join(feed.past, node, "residual")


def _stack(
    graph: Graph,
    name: str,
    feeds: list[_Feed],
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
) -> _Stack:
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
            _Feed(column, feed.reads if layer in residual else [])
            for column, feed in zip(columns, feeds, strict=True)
        ]
    top = y + (layers - 1) * (_DEPTH_OF_TWO if both else 1) + (_ABOVE if both else 0)
    return _Stack(feeds, finals, firsts, top)


def _state_label(letter: str, step: int, layer: int, direction: NodeKind | None) -> str:
    arrow = "" if direction is None else _ARROWS[direction]
    return f"${arrow}{{{letter}}}_{{{step}}}^{{({layer})}}$"


def _inputs(graph: Graph, name: str, labels: Sequence[str], x: float, y: float = 0) -> list[_Feed]:
    return [
        _Feed([graph.add(f"{name}.{step + 1}", "input", label, x + step, y)])
        for step, label in enumerate(labels)
    ]


def _source(graph: Graph, model: ModelConfig, steps: int) -> tuple[list[_Feed], float, int]:
    """What a whole sentence gives to a stack; the stack's height; the width of what it reads."""
    inputs = _inputs(graph, "input", _numbered("x", 1, steps), 0)
    if model.transformer is None:
        return inputs, 1, model.embedding_size
    band = graph.add("transformer", "transformer", "transformer", (steps - 1) / 2, 1)
    for feed in inputs:
        _feed(graph, feed, band)
    # its width stands in its own files; 0 agrees with no layer's
    return [_Feed([band]) for _ in inputs], 2, 0


def _outputs(
    graph: Graph, feeds: Sequence[_Feed], letter: str, *, first: int = 1, x: float, y: float
) -> None:
    for step, feed in enumerate(feeds):
        label = f"${letter}_{{{step + first}}}$"
        _feed(graph, feed, graph.add(f"output.{step + 1}", "output", label, x + step, y))


def _numbered(letter: str, first: int, count: int) -> list[str]:
    return [f"${letter}_{{{number}}}$" for number in range(first, first + count)]


def _residual(model: ModelConfig, first_width: int, width: int, layers: int) -> list[int]:
    """The layers that add their input: where residual is on and the widths agree."""
    if not model.residual:
        return []
    return [layer for layer in range(1, layers + 1) if layer > 1 or first_width == width]


def _both_or_one(model: ModelConfig) -> Sequence[NodeKind]:
    return ("forward", "backward") if model.bidirectional else ("forward",)


# --- the tasks ----------------------------------------------------------------------------------


def _language_model(graph: Graph, model: ModelConfig, steps: int) -> None:
    stack = _stack(
        graph,
        "stack",
        _inputs(graph, "input", _numbered("x", 1, steps), 0),
        layers=model.num_layers,
        x=0,
        y=1,
        residual=_residual(model, model.embedding_size, model.hidden_size, model.num_layers),
    )
    # an output is the next token, before it is read
    _outputs(graph, stack.feeds, "x", first=2, x=0, y=stack.top + 1)


def _classification(graph: Graph, model: ModelConfig, steps: int) -> None:
    source, height, width = _source(graph, model, steps)
    stack = _stack(
        graph,
        "stack",
        source,
        layers=model.num_layers,
        directions=_both_or_one(model),
        x=0,
        y=height,
        residual=_residual(model, width, model.hidden_size, model.num_layers),
    )
    middle = (steps - 1) / 2
    pooled = graph.add("pooled", "pooled", model.pooling, middle, stack.top + 1)
    if model.pooling == "final":
        graph.join(stack.finals[-1], pooled)
    else:
        for feed in stack.feeds:
            _feed(graph, feed, pooled)
    graph.join([pooled], graph.add("output.1", "output", "label", middle, stack.top + 2))


def _cloze(graph: Graph, model: ModelConfig, steps: int) -> None:
    """Two stacks that meet at the top: the left one up to t-1, the right one down to t+1."""
    labels = ["bos", *_numbered("x", 1, steps), "eos"]
    inputs = _inputs(graph, "input", labels, 0)
    residual = _residual(model, model.embedding_size, model.hidden_size // 2, model.num_layers)
    sides: list[list[_Feed]] = []
    top = 0.0
    for kind in ("forward", "backward"):
        stack = _stack(
            graph,
            "left" if kind == "forward" else "right",
            inputs,
            layers=model.num_layers,
            directions=(kind,),
            first_step=0,
            pair=0 if kind == "forward" else 1,
            x=0,
            y=1,
            residual=residual,
        )
        sides.append(stack.feeds)
        top = stack.top
    left, right = sides
    feeds = [
        _Feed([*left[t - 1].reads, *right[t + 1].reads], [*left[t - 1].past, *right[t + 1].past])
        for t in range(1, steps + 1)
    ]
    _outputs(graph, feeds, "x", x=1, y=top + 1)


def _translation(graph: Graph, model: ModelConfig, steps: int) -> None:
    directions = _both_or_one(model)
    source, height, width = _source(graph, model, steps)
    encoder = _stack(
        graph,
        "encoder",
        source,
        layers=model.encoder_layers,
        directions=directions,
        x=0,
        y=height,
        residual=_residual(model, width, model.hidden_size, model.encoder_layers),
    )
    finals: list[str] = []
    for layer, ends in enumerate(encoder.finals, start=1):
        height = graph.nodes[ends[0]].y
        final = graph.add(f"final.{layer}", "final", f"$h^{{({layer})}}$", steps + 0.2, height)
        graph.join(ends, final, "start")
        finals.append(final)
    same = model.encoder_layers == model.decoder_layers
    begin = steps + (1.5 if same else 2.3)
    graph.parts = {"encoder": (steps - 1) / 2, "decoder": begin + (steps - 1) / 2}
    target = ["bos", *_numbered("y", 1, steps - 1)]
    if model.attention == "none":
        firsts = _plain_decoder(graph, model, target, finals[-1], begin)
    else:
        firsts = _attending_decoder(graph, model, target, encoder, begin)
    if not same:  # one learnt layer from all to all
        middle = (graph.nodes[finals[0]].y + graph.nodes[finals[-1]].y) / 2
        bridge = graph.add("bridge", "bridge", "tanh", steps + 1.2, middle)
        graph.join(finals, bridge, "start")
        finals = [bridge] * len(firsts)
    for final, first in zip(finals, firsts, strict=True):
        graph.join([final], first, "start")


def _plain_decoder(
    graph: Graph, model: ModelConfig, target: Sequence[str], final: str, x: float
) -> list[str]:
    """The book's: the encoder's last state beside every input. Its first states."""
    context = graph.add("context", "context", "$c$", x + (len(target) - 1) / 2, -1)
    graph.join([final], context)
    inputs = _inputs(graph, "target", target, x)
    stack = _stack(
        graph,
        "decoder",
        [_Feed([*feed.reads, context]) for feed in inputs],
        layers=model.decoder_layers,
        letter="s",
        x=x,
        y=1,
        # the first layer's input is wider than its output: there is nothing to add
        residual=_residual(model, 0, model.hidden_size, model.decoder_layers),
    )
    _outputs(graph, stack.feeds, "y", x=x, y=stack.top + 1)
    return [first for first, *_ in stack.firsts]


def _attending_decoder(
    graph: Graph, model: ModelConfig, target: Sequence[str], encoder: _Stack, x: float
) -> list[str]:
    """Layer 1, attention for each of its states, the upper layers. The first states."""
    y = encoder.top
    inputs = _inputs(graph, "target", target, x, y - 1)
    hidden = model.hidden_size
    bottom = _stack(
        graph,
        "decoder",
        inputs,
        layers=1,
        letter="s",
        x=x,
        y=y,
        residual=_residual(model, model.embedding_size, hidden, 1),
    )
    memory = graph.add("memory", "memory", "memory", 0, y + 1)
    for feed in encoder.feeds:
        _feed(graph, feed, memory)
    feeds: list[_Feed] = []
    for step, feed in enumerate(bottom.feeds):
        label = f"$c_{{{step + 1}}}$"
        context = graph.add(f"context.{step + 1}", "context", label, x + step, y + 1)
        _feed(graph, feed, context)
        graph.join([memory], context, "attention")
        feeds.append(_Feed([context, *feed.reads], feed.past))
    upper = model.decoder_layers - 1
    firsts = bottom.firsts
    top = y + 1
    if upper:
        # its first layer reads state and context side by side: wider than its output
        stack = _stack(
            graph,
            "decoder",
            feeds,
            layers=upper,
            letter="s",
            first_layer=2,
            x=x,
            y=y + 2,
            residual=[layer + 1 for layer in _residual(model, 0, hidden, upper)],
        )
        firsts, top = [*firsts, *stack.firsts], stack.top
        feeds = [
            _Feed([*feed.reads, f"context.{step + 1}"], feed.past)
            for step, feed in enumerate(stack.feeds)
        ]
    _outputs(graph, feeds, "y", x=x, y=top + 1)
    return [first for first, *_ in firsts]
