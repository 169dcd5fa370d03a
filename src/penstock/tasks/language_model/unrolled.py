"""A language model, unrolled."""

from __future__ import annotations

from penstock.config import RunConfig
from penstock.tasks.unrolled_graph import (
    Graph,
    add_inputs,
    add_outputs,
    add_stack,
    numbered,
    one_stack_title,
    residual_layers,
)


def unroll(config: RunConfig, steps: int) -> Graph:
    """Each output is the next token, before it is read."""
    graph, model = Graph(one_stack_title(config)), config.model
    stack = add_stack(
        graph,
        "stack",
        add_inputs(graph, "input", numbered("x", 1, steps), 0),
        layers=model.num_layers,
        x=0,
        y=1,
        residual=residual_layers(model, model.embedding_size, model.hidden_size, model.num_layers),
    )
    # an output is the next token, before it is read
    add_outputs(graph, stack.feeds, "x", first=2, x=0, y=stack.top + 1)
    return graph
