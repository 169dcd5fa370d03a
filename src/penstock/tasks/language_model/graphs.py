"""A language model as an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from penstock.config import ExportPrecision, ModelConfig, RunConfig
from penstock.export.calibration import Observer, calibrated
from penstock.export.graph_builder import Graph, Value
from penstock.export.readout_nodes import readout_log_probs
from penstock.export.recurrent_layers import array, run_layers, state_parts
from penstock.runtime.onnx.interface import GRAPH_ROLE, language_model_spec
from penstock.tasks.language_model.network import LanguageModel
from penstock.tasks.task import Sample


def make_graphs(
    config: RunConfig, network: LanguageModel, sample: Sequence[Sample], precision: ExportPrecision
) -> dict[str, bytes]:
    """The graph as a file by role (see `Task.graphs`)."""

    def run(observer: Observer) -> None:
        shape = (config.model.num_layers, 1, config.model.hidden_size)
        parts = state_parts(network.recurrent.list_cells()[0])
        state = {part: np.zeros(shape, np.float32) for part in parts}
        for ids, _ in sample:
            feed = {"ids": np.array([ids]), "positions": np.arange(len(ids)), **state}
            after = observer.run(feed)
            state = {part: after[f"{part}_next"] for part in parts}

    graph = calibrated(partial(language_model_graph, config.model, network), precision, run)
    return {GRAPH_ROLE: graph.serialize()}


def language_model_graph(
    config: ModelConfig,
    model: LanguageModel,
    precision: ExportPrecision,
    ranges: Mapping[str, float] | None = None,
) -> Graph:
    """Build the graph; arguments as `translation_graphs`."""
    graph = Graph(precision, ranges)
    embedding = model.embedding
    parts = state_parts(model.recurrent.list_cells()[0])
    spec = language_model_spec(config, parts, embedding.num_embeddings)
    given = {each.name: graph.input(each) for each in spec.inputs}
    table = graph.table(array(embedding.weight))
    x = graph.look_up(table, graph.op("Transpose", given["ids"], perm=[1, 0]), embedding.factor)
    batch = graph.op("Shape", given["ids"], start=0, end=1)
    width = graph.op("Shape", given["ids"], start=1, end=2)
    full = graph.op("Expand", width, batch)
    before = {part: _layers(graph, given[part], config.num_layers) for part in parts}
    initial = [{part: before[part][i] for part in parts} for i in range(config.num_layers)]
    values, after = run_layers(graph, model.recurrent, x, full, "stack", initial=initial)
    states = graph.op("Transpose", values, perm=[1, 0, 2])  # (B, S, H)
    rows = graph.reshape(states, -1, config.hidden_size)
    chosen = graph.op("Gather", rows, given["positions"])
    found = {
        "log_probs": readout_log_probs(graph, model.readout, chosen, embedding, table),
        "states": states,
    }
    assert len(model.recurrent.list_cells()) == config.num_layers
    for part in parts:
        layers = [graph.op("Unsqueeze", state[part], graph.ints(0)) for state in after]
        found[f"{part}_next"] = graph.concat(layers, axis=0)
    return graph.give(spec, found)


def _layers(graph: Graph, state: Value, count: int) -> list[Value]:
    """(L, B, H) to L values (B, H)."""
    return [graph.op("Gather", state, graph.constant_int(i)) for i in range(count)]
