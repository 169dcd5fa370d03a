"""From states to log-probabilities over a vocabulary and the likeliest tokens, in a graph."""

from __future__ import annotations

from penstock.export.graph_builder import Graph, Table, Value
from penstock.export.recurrent_layers import array, linear_layer
from penstock.nn.embedding import TokenEmbedding
from penstock.nn.readout import Readout


def readout_log_probs(
    graph: Graph, readout: Readout, states: Value, embedding: TokenEmbedding, table: Table
) -> Value:
    """States (N, H) to log-probabilities (N, V).

    Args:
        graph: where its nodes go.
        readout: its layers.
        states: input.
        embedding: whose table may be the output layer's.
        table: that table in the graph.
    """
    x = states
    if readout.layer is not None:
        x = linear_layer(graph, [x], readout.layer, "readout").tanh()
    if readout.output.weight is embedding.weight:
        logits = graph.table_product(x, "output.0", table, array(readout.output.bias))
    else:
        logits = linear_layer(graph, [x], readout.output, "output")
    return graph.op("LogSoftmax", logits, axis=-1)


def likeliest(graph: Graph, log_probs: Value, count: Value, vocab_size: int) -> tuple[Value, Value]:
    """The greatest log-probabilities of each row and their ids; of equal ones the lower id first.

    `TopK` looks at each number by itself, a maximum at many together. So the vocabulary is cut into
    blocks of equal size, and only the blocks with the greatest maxima are searched: each of the K
    likeliest tokens is in one of the K first blocks.

    Args:
        graph: where its nodes go.
        log_probs: (N, V).
        count: (1,) K, at most V.
        vocab_size: V.
    """
    size = _block_size(vocab_size)
    if size == 1:
        best = graph.ops("TopK", log_probs, count, outputs=2, axis=-1)
        return best[0], best[1]
    width, blocks = graph.ints(size), vocab_size // size
    by_block = graph.reshape(log_probs, 0, blocks, size)
    maxima = graph.op("ReduceMax", by_block, axes=[-1], keepdims=0)  # (N, V/size)
    few = graph.op("Min", count, graph.ints(blocks))
    chosen = graph.ops("TopK", maxima, few, outputs=2, axis=-1)[1]
    chosen = graph.ops("TopK", chosen, few, outputs=2, axis=-1, largest=0)[0]  # ascending
    at = graph.op("Unsqueeze", chosen, graph.ints(2))
    searched = graph.reshape(graph.op("GatherND", by_block, at, batch_dims=1), 0, -1)
    values, places = graph.ops("TopK", searched, count, outputs=2, axis=-1)
    block = graph.op("GatherElements", chosen, places / width, axis=1)
    return values, block * width + graph.op("Mod", places, width)


def _block_size(vocab_size: int) -> int:
    """The divisor of V that leaves the fewest numbers to sort for 8 candidates; 1: not worth it."""

    def cost(size: int) -> int:
        return vocab_size // size + 8 * size if size > 1 else vocab_size // 4

    return min((n for n in range(1, vocab_size + 1) if vocab_size % n == 0), key=cost)
