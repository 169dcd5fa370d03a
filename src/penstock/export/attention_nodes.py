"""Attention in a graph: keys laid out once per sentence, then one query per row and step."""

from __future__ import annotations

from torch import nn

from penstock.config import ModelConfig
from penstock.errors import UsageError
from penstock.export.graph_builder import Graph, Value
from penstock.export.recurrent_layers import array, linear_layer
from penstock.nn.attention import Attention
from penstock.nn.attention.additive import AdditiveAttention
from penstock.runtime.onnx.interface import AttentionLayout


def lay_out_memory(
    graph: Graph, attention: Attention, config: ModelConfig, values: Value, alive: Value
) -> dict[str, Value]:
    """The memory as the step wants it.

    Args:
        graph: where its nodes go.
        attention: its projections.
        config: of the model.
        values: the encoder's outputs (B, S, M).
        alive: (B, S) bool, True = a real token.

    Returns:
        `keys`, `values` and `mask` as in `memory_specs`; the mask is added to the scores.

    Raises:
        UsageError: the attention's scores have no form as a graph.
    """
    if type(attention).scores not in (Attention.scores, AdditiveAttention.scores):
        raise UsageError(
            f"attention {config.attention!r} cannot be exported: its scores have no graph"
        )
    layout = AttentionLayout.of(config)
    keys = _projected(graph, attention.project_keys, values, "attention.keys")
    values = _projected(graph, attention.project_values, values, "attention.values")
    if isinstance(attention, AdditiveAttention):
        keys = graph.op("Unsqueeze", keys, graph.ints(1))  # (B, 1, S, A)
    else:
        keys = _filled(graph, _split(graph, keys, layout.heads), layout)
        keys = graph.op("Transpose", keys, perm=[0, 2, 3, 1])  # (B, heads, key width, S)
        if layout.blocks > 1:
            keys = graph.reshape(keys, 0, layout.heads * layout.blocks, layout.block, -1)
    values = graph.op("Transpose", _split(graph, values, layout.heads), perm=[0, 2, 1, 3])
    mask = graph.op("Where", alive, graph.number(0.0), graph.number(-float("inf")))
    return {
        "keys": keys,
        "values": values,
        "mask": graph.op("Unsqueeze", mask, graph.ints(1, 2)),
    }


def attend(
    graph: Graph,
    attention: Attention,
    config: ModelConfig,
    hidden: Value,
    memory: dict[str, Value],
    slots: Value,
    places: Value,
) -> tuple[Value, Value]:
    """Ask the memory: the rows of a sentence together, so that it is never copied.

    Args:
        graph: where its nodes go.
        attention: its projections.
        config: of the model.
        hidden: queries (N, H).
        memory: from `lay_out_memory`.
        slots: (B, W) the row in each slot of a sentence.
        places: (N,) the slot of each row, among B·W.

    Returns:
        Context (N, M) and weights (B, 1, W, S), averaged over heads.
    """
    layout = AttentionLayout.of(config)
    query = _projected(graph, attention.project_query, hidden, "attention.query")
    if attention.scale != 1:
        query = query * attention.scale
    query = graph.op("Gather", query, slots, axis=0)  # (B, W, A)
    if isinstance(attention, AdditiveAttention):
        pairs = graph.op("Unsqueeze", query, graph.ints(2)) + memory["keys"]  # (B, W, S, A)
        assert isinstance(attention.energy, nn.Linear)
        energy = graph.constant(array(attention.energy.weight).T)
        scores = graph.op("MatMul", pairs.tanh(), energy)  # (B, W, S, 1)
        scores = graph.op("Transpose", scores, perm=[0, 3, 1, 2])
    else:
        if layout.key_width != layout.value_width:
            query = _filled(graph, _split(graph, query, layout.heads), layout)
        query = graph.reshape(query, 0, 0, layout.heads * layout.blocks, layout.block)
        query = graph.op("Transpose", query, perm=[0, 2, 1, 3])  # (B, heads·blocks, W, block)
        scores = graph.op("MatMul", query, memory["keys"])  # (B, heads·blocks, W, S)
    scores = _masked(graph, scores, memory["mask"], layout)
    weights = graph.op("Softmax", scores, axis=-1)  # (B, heads, W, S)
    context = graph.op("MatMul", weights, memory["values"])  # (B, heads, W, M/heads)
    if layout.heads > 1:
        context = graph.op("Transpose", context, perm=[0, 2, 1, 3])
    context = graph.reshape(context, -1, layout.heads * layout.value_width)  # (B·W, M)
    context = graph.op("Gather", context, places, axis=0)
    context = _projected(graph, attention.project_context, context, "attention.context")
    if layout.heads > 1:
        weights = graph.op("Sum", *weights.chunk(layout.heads, 1)) * (1 / layout.heads)
    return context, weights


def _projected(graph: Graph, layer: nn.Module, x: Value, tag: str) -> Value:
    return linear_layer(graph, [x], layer, tag) if isinstance(layer, nn.Linear) else x


def _split(graph: Graph, x: Value, heads: int) -> Value:
    """(B, T, A) to (B, T, heads, A/heads)."""
    return graph.reshape(x, 0, 0, heads, -1)


def _filled(graph: Graph, x: Value, layout: AttentionLayout) -> Value:
    """Heads (B, T, heads, ·) filled up with zeros to whole blocks."""
    missing = layout.key_width - layout.value_width
    if not missing:
        return x
    return graph.op("Pad", x, graph.ints(0, 0, 0, 0, 0, 0, 0, missing))


def _masked(graph: Graph, scores: Value, mask: Value, layout: AttentionLayout) -> Value:
    """Scores of blocks (B, heads·blocks, W, S) to those of heads (B, heads, W, S), and the mask."""
    if layout.blocks == 1:
        return scores + mask
    heads = scores.chunk(layout.heads, 1) if layout.heads > 1 else (scores,)
    summed = [graph.op("Sum", *head.chunk(layout.blocks, 1), mask) for head in heads]
    return summed[0] if layout.heads == 1 else graph.concat(summed, axis=1)
