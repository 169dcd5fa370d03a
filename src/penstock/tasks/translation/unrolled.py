"""A translation model, unrolled."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.config import ModelConfig, RunConfig
from penstock.tasks.unrolled_graph import (
    Feed,
    Graph,
    Stack,
    add_inputs,
    add_outputs,
    add_source,
    add_stack,
    connect,
    counted_layers,
    directions_of,
    each_direction,
    numbered,
    residual_layers,
)


def unroll(config: RunConfig, steps: int) -> Graph:
    """Encoder, decoder and what joins them."""
    graph, model = Graph(_title(config)), config.model
    directions = directions_of(model)
    source, height, width = add_source(graph, model, steps)
    encoder = add_stack(
        graph,
        "encoder",
        source,
        layers=model.encoder_layers,
        directions=directions,
        x=0,
        y=height,
        residual=residual_layers(model, width, model.hidden_size, model.encoder_layers),
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
    target = ["bos", *numbered("y", 1, steps - 1)]
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
    return graph


def _title(config: RunConfig) -> str:
    model = config.model
    return (
        f"{config.task}: {model.cell.upper()}, "
        f"encoder of {counted_layers(model.encoder_layers)}{each_direction(config)}, "
        f"decoder of {counted_layers(model.decoder_layers)}, "
        + (f"{model.attention} attention" if model.attention != "none" else "no attention")
    )


def _plain_decoder(
    graph: Graph, model: ModelConfig, target: Sequence[str], final: str, x: float
) -> list[str]:
    """The book's: the encoder's last state beside every input. Its first states."""
    context = graph.add("context", "context", "$c$", x + (len(target) - 1) / 2, -1)
    graph.join([final], context)
    inputs = add_inputs(graph, "target", target, x)
    stack = add_stack(
        graph,
        "decoder",
        [Feed([*feed.reads, context]) for feed in inputs],
        layers=model.decoder_layers,
        letter="s",
        x=x,
        y=1,
        # the first layer's input is wider than its output: there is nothing to add
        residual=residual_layers(model, 0, model.hidden_size, model.decoder_layers),
    )
    add_outputs(graph, stack.feeds, "y", x=x, y=stack.top + 1)
    return [first for first, *_ in stack.firsts]


def _attending_decoder(
    graph: Graph, model: ModelConfig, target: Sequence[str], encoder: Stack, x: float
) -> list[str]:
    """Layer 1, attention for each of its states, the upper layers. The first states."""
    y = encoder.top
    inputs = add_inputs(graph, "target", target, x, y - 1)
    hidden = model.hidden_size
    bottom = add_stack(
        graph,
        "decoder",
        inputs,
        layers=1,
        letter="s",
        x=x,
        y=y,
        residual=residual_layers(model, model.embedding_size, hidden, 1),
    )
    memory = graph.add("memory", "memory", "memory", 0, y + 1)
    for feed in encoder.feeds:
        connect(graph, feed, memory)
    feeds: list[Feed] = []
    for step, feed in enumerate(bottom.feeds):
        label = f"$c_{{{step + 1}}}$"
        context = graph.add(f"context.{step + 1}", "context", label, x + step, y + 1)
        connect(graph, feed, context)
        graph.join([memory], context, "attention")
        feeds.append(Feed([context, *feed.reads], feed.past))
    upper = model.decoder_layers - 1
    firsts = bottom.firsts
    top = y + 1
    if upper:
        # its first layer reads state and context side by side: wider than its output
        stack = add_stack(
            graph,
            "decoder",
            feeds,
            layers=upper,
            letter="s",
            first_layer=2,
            x=x,
            y=y + 2,
            residual=[layer + 1 for layer in residual_layers(model, 0, hidden, upper)],
        )
        firsts, top = [*firsts, *stack.firsts], stack.top
        feeds = [
            Feed([*feed.reads, f"context.{step + 1}"], feed.past)
            for step, feed in enumerate(stack.feeds)
        ]
    add_outputs(graph, feeds, "y", x=x, y=top + 1)
    return [first for first, *_ in firsts]
