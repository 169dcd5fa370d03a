"""A classifier, unrolled."""

from __future__ import annotations

from penstock.config import RunConfig
from penstock.tasks.unrolled_graph import (
    Graph,
    add_source,
    add_stack,
    connect,
    directions_of,
    one_stack_title,
    residual_layers,
)


def unroll(config: RunConfig, steps: int) -> Graph:
    """The states of a sentence, pooled into one vector."""
    graph, model = Graph(one_stack_title(config)), config.model
    source, height, width = add_source(graph, model, steps)
    stack = add_stack(
        graph,
        "stack",
        source,
        layers=model.num_layers,
        directions=directions_of(model),
        x=0,
        y=height,
        residual=residual_layers(model, width, model.hidden_size, model.num_layers),
    )
    middle = (steps - 1) / 2
    pooled = graph.add("pooled", "pooled", model.pooling, middle, stack.top + 1)
    if model.pooling == "final":
        graph.join(stack.finals[-1], pooled)
    else:
        for feed in stack.feeds:
            connect(graph, feed, pooled)
    graph.join([pooled], graph.add("output.1", "output", "label", middle, stack.top + 2))
    return graph
