"""A classifier as an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from penstock.config import ExportPrecision, ModelConfig, RunConfig
from penstock.export.calibration import Observer, calibrated
from penstock.export.graph_builder import Graph, Value
from penstock.export.recurrent_layers import embedded, linear_layer, real_positions, run_layers
from penstock.runtime.onnx.interface import GRAPH_ROLE, classifier_spec
from penstock.tasks.classification.network import Classifier
from penstock.tasks.task import Sample


def make_graphs(
    config: RunConfig, network: Classifier, sample: Sequence[Sample], precision: ExportPrecision
) -> dict[str, bytes]:
    """The graph as a file by role (see `Task.graphs`)."""

    def run(observer: Observer) -> None:
        for ids, _ in sample:
            observer.run({"ids": np.array([ids]), "lengths": np.array([len(ids)])})

    graph = calibrated(partial(classifier_graph, config.model, network), precision, run)
    return {GRAPH_ROLE: graph.serialize()}


def classifier_graph(
    config: ModelConfig,
    model: Classifier,
    precision: ExportPrecision,
    ranges: Mapping[str, float] | None = None,
) -> Graph:
    """Build the graph; arguments as `translation_graphs`.

    Raises:
        UsageError: a pretrained Transformer encodes the text.
    """
    graph = Graph(precision, ranges)
    spec = classifier_spec(config, model.output.out_features)
    ids, lengths = (graph.input(each) for each in spec.inputs)
    encoder = model.encoder
    x = embedded(graph, encoder.embedding, graph.op("Transpose", ids, perm=[1, 0]))
    values, finals = run_layers(graph, encoder.recurrent, x, lengths, "encoder")
    if model.pooling == "final":
        pooled = graph.concat([state["h"] for state in finals[-encoder.directions :]])
    else:
        pooled = _pooled(graph, model.pooling, values, lengths)
    logits = linear_layer(graph, [pooled], model.output, "output")
    return graph.give(
        spec,
        {
            "probabilities": graph.op("Softmax", logits, axis=-1),
            "states": graph.op("Transpose", values, perm=[1, 0, 2]),
        },
    )


def _pooled(graph: Graph, kind: str, values: Value, lengths: Value) -> Value:
    """States (S, B, H), zero at padding, in one vector per sentence, (B, H)."""
    if kind == "max":
        real = real_positions(graph, values, lengths)
        masked = graph.op("Where", real, values, graph.number(-float("inf")))
        return graph.op("ReduceMax", masked, axes=[0], keepdims=0)
    total = graph.op("ReduceSum", values, graph.ints(0), keepdims=0)
    counts = graph.op("Cast", graph.op("Unsqueeze", lengths, graph.ints(1)), to=1)
    return total / counts
