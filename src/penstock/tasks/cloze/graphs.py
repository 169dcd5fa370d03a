"""A cloze model as an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from penstock.config import ExportPrecision, ModelConfig, RunConfig
from penstock.export.calibration import Observer, calibrated
from penstock.export.graph_builder import Graph
from penstock.export.readout_nodes import readout_log_probs
from penstock.export.recurrent_layers import array, reversed_rows, run_layers
from penstock.runtime.onnx.interface import GRAPH_ROLE, cloze_spec
from penstock.special_tokens import BOS_ID
from penstock.tasks.cloze.network import Cloze
from penstock.tasks.task import Sample


def make_graphs(
    config: RunConfig, network: Cloze, sample: Sequence[Sample], precision: ExportPrecision
) -> dict[str, bytes]:
    """The graph as a file by role (see `Task.graphs`)."""

    def run(observer: Observer) -> None:
        blanks = np.zeros((1, config.model.hidden_size), np.float32)
        for ids, _ in sample:
            feed = {"ids": np.array([ids]), "lengths": np.array([len(ids)]), "blanks": blanks}
            blanks = observer.run(feed)["contexts"][0, :-1]  # the next call predicts them

    graph = calibrated(partial(cloze_graph, config.model, network), precision, run)
    return {GRAPH_ROLE: graph.serialize()}


def cloze_graph(
    config: ModelConfig,
    model: Cloze,
    precision: ExportPrecision,
    ranges: Mapping[str, float] | None = None,
) -> Graph:
    """Build the graph; arguments as `translation_graphs`."""
    graph = Graph(precision, ranges)
    embedding = model.embedding
    spec = cloze_spec(config, embedding.num_embeddings)
    ids, lengths, blanks = (graph.input(each) for each in spec.inputs)
    # BOS before each row, (1 + S, B)
    begun = graph.op("Pad", ids, graph.ints(0, 1, 0, 0), graph.constant_int(BOS_ID))
    begun = graph.op("Transpose", begun, perm=[1, 0])
    lengths = graph.op("Add", lengths, graph.constant_int(1))
    table = graph.table(array(embedding.weight))
    x = graph.look_up(table, begun, embedding.factor)
    left, _ = run_layers(graph, model.left, x, lengths, "left")
    turned, _ = run_layers(graph, model.right, reversed_rows(graph, x, lengths), lengths, "right")
    right = reversed_rows(graph, turned, lengths)
    # of position t, in rows with BOS: the left state of t, the right one of t + 2
    after_bos = graph.op("Slice", right, graph.ints(2), graph.ints(2**31), graph.ints(0))
    closed = graph.op("Pad", after_bos, graph.ints(0, 0, 0, 1, 0, 0))
    before_eos = graph.op("Slice", left, graph.ints(0), graph.ints(-1), graph.ints(0))
    read = [
        graph.op("Slice", side, graph.ints(1), graph.ints(2**31), graph.ints(0))
        for side in (left, right)
    ]
    return graph.give(
        spec,
        {
            "contexts": graph.op("Transpose", graph.concat([before_eos, closed]), perm=[1, 0, 2]),
            "states": graph.op("Transpose", graph.concat(read), perm=[1, 0, 2]),
            "log_probs": readout_log_probs(graph, model.readout, blanks, embedding, table),
        },
    )
