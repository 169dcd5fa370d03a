"""From states to log-probabilities over a vocabulary, in a graph."""

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
