"""A cloze, unrolled."""

from __future__ import annotations

from penstock.config import RunConfig
from penstock.tasks.unrolled_graph import (
    Feed,
    Graph,
    add_inputs,
    add_outputs,
    add_stack,
    numbered,
    one_stack_title,
    residual_layers,
)


def unroll(config: RunConfig, steps: int) -> Graph:
    """Two stacks that meet at the top: the left one up to t-1, the right one down to t+1."""
    graph, model = Graph(one_stack_title(config)), config.model
    labels = ["bos", *numbered("x", 1, steps), "eos"]
    inputs = add_inputs(graph, "input", labels, 0)
    residual = residual_layers(
        model, model.embedding_size, model.hidden_size // 2, model.num_layers
    )
    sides: list[list[Feed]] = []
    top = 0.0
    for kind in ("forward", "backward"):
        stack = add_stack(
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
        Feed([*left[t - 1].reads, *right[t + 1].reads], [*left[t - 1].past, *right[t + 1].past])
        for t in range(1, steps + 1)
    ]
    add_outputs(graph, feeds, "x", x=1, y=top + 1)
    return graph
