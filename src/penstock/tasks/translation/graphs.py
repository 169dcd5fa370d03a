"""Translation's two graphs: the encoder, and one step of the decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from penstock.config import ExportPrecision, ModelConfig, RunConfig
from penstock.export.attention_nodes import attend, lay_out_memory
from penstock.export.calibration import Observer, Ranges
from penstock.export.graph_builder import Graph, Value
from penstock.export.readout_nodes import likeliest
from penstock.export.recurrent_layers import (
    CellState,
    Named,
    array,
    embedded,
    linear_layer,
    real_positions,
    run_layers,
    step_layers,
)
from penstock.nn.bridge import Bridge
from penstock.nn.embedding import TokenEmbedding
from penstock.nn.encoder import Encoder
from penstock.nn.seq2seq import Seq2Seq
from penstock.runtime.onnx.interface import (
    ENCODER_ROLE,
    STATE_NAMES,
    STEP_ROLE,
    TracedValue,
    encoder_spec,
    step_spec,
    traced_value,
)
from penstock.tasks.task import Sample


@dataclass(frozen=True, slots=True)
class TranslationGraphs:
    """Both graphs of a translation model."""

    encoder: Graph
    step: Graph


def make_graphs(
    config: RunConfig, network: Seq2Seq, sample: Sequence[Sample], precision: ExportPrecision
) -> dict[str, bytes]:
    """Encoder and step as files by role (see `Task.graphs`)."""
    graphs = translation_graphs(config.model, network, "fp32")
    if precision == "int8":
        ranges = _observed(graphs, sample).fixed()
        graphs = translation_graphs(config.model, network, "int8", ranges)
    return {ENCODER_ROLE: graphs.encoder.serialize(), STEP_ROLE: graphs.step.serialize()}


def _observed(graphs: TranslationGraphs, sample: Sequence[Sample]) -> Ranges:
    """The activations of both float32 graphs under teacher forcing."""
    ranges = Ranges()
    encode, decode = Observer(graphs.encoder, ranges), Observer(graphs.step, ranges)
    first = np.zeros(1, np.int64)
    for source, target in sample:
        encoded = encode.run({"tokens": np.array([source]), "lengths": np.array([len(source)])})
        state = {name: value for name, value in encoded.items() if not traced_value(name)}
        fixed = {"parents": first, "top": np.ones(1, np.int64)}
        fixed |= (
            {"slots": np.zeros((1, 2), np.int64), "places": first}
            if "keys" in state
            else {"sentences": first}
        )
        for token in target:
            after = decode.run({**fixed, **state, "tokens": np.array([token])})
            state |= {
                name.removesuffix("_next"): value
                for name, value in after.items()
                if name.endswith("_next")
            }
    return ranges


def translation_graphs(
    config: ModelConfig,
    model: Seq2Seq,
    precision: ExportPrecision,
    ranges: Mapping[str, float] | None = None,
) -> TranslationGraphs:
    """Build both graphs.

    Args:
        config: of the model.
        model: its weights as they are now.
        precision: of products and tables.
        ranges: of the activations by tag, for int8.

    Raises:
        UsageError: a pretrained Transformer encodes the source.
    """
    return TranslationGraphs(
        _encoder_graph(config, model, Graph(precision, ranges)),
        _step_graph(config, model, Graph(precision, ranges)),
    )


def _encoder_graph(config: ModelConfig, model: Seq2Seq, graph: Graph) -> Graph:
    encoder, spec = model.encoder, encoder_spec(config, carried_parts(model))
    tokens, lengths = (graph.input(given) for given in spec.inputs)
    time_major = graph.op("Transpose", tokens, perm=[1, 0])
    x = embedded(graph, encoder.embedding, time_major)  # (S, B, E)
    cells: list[Named] = []
    values, finals = run_layers(graph, encoder.recurrent, x, lengths, "encoder", traced=cells)
    joined = _joined_directions(graph, encoder, finals)
    carries = carried_parts(model)
    states = _bridged(graph, model.bridge, joined, carries)
    found = {f"{part}{i}": state[part] for i, state in enumerate(states) for part in carries}
    attention = model.decoder.attention
    if attention is None:
        found["context"] = joined[-1]["h"]
    else:
        values = graph.op("Transpose", values, perm=[1, 0, 2])  # (B, S, M)
        alive = graph.op("Squeeze", real_positions(graph, x, lengths), graph.ints(2))
        real = graph.op("Transpose", alive, perm=[1, 0])
        found |= lay_out_memory(graph, attention, config, values, real)
    graph.give(spec, found)
    for index, named in enumerate(cells):
        layer, direction = divmod(index, encoder.directions)
        size = encoder.recurrent.list_cells()[index].hidden_size
        for name, value in named.items():
            traced = TracedValue("encoder", layer, direction == 1, name)
            graph.output(traced.spec(size), value)
    return graph


def _step_graph(config: ModelConfig, model: Seq2Seq, graph: Graph) -> Graph:
    decoder = model.decoder
    carries = carried_parts(model)
    spec = step_spec(config, carries, decoder.embedding.num_embeddings)
    given = {each.name: graph.input(each) for each in spec.inputs}
    before = [
        {part: graph.op("Gather", given[f"{part}{i}"], given["parents"]) for part in carries}
        for i in range(config.decoder_layers)
    ]
    assert isinstance(decoder.embedding, TokenEmbedding)
    table = graph.table(array(decoder.embedding.weight))
    x = graph.look_up(table, given["tokens"], decoder.embedding.factor)
    found: dict[str, Value] = {}
    if decoder.attention is None:
        context = graph.op("Gather", given["context"], given["sentences"])
        widths = (config.embedding_size, config.hidden_size)
        hidden, layers = step_layers(
            graph, decoder.bottom, [x, context], before, "decoder", widths=widths
        )
        features = [hidden]
    else:
        hidden, layers = step_layers(graph, decoder.bottom, [x], before[:1], "decoder")
        slots, places = given["slots"], given["places"]
        context, weights = attend(graph, decoder.attention, config, hidden, given, slots, places)
        found["attention"] = weights
        if decoder.upper is not None:
            both = [hidden, context]
            hidden, upper = step_layers(graph, decoder.upper, both, before[1:], "upper")
            layers += upper
        features = [hidden, context]
    if decoder.readout is not None:
        features = [linear_layer(graph, features, decoder.readout, "readout").tanh()]
    if decoder.output.weight is decoder.embedding.weight:
        bias = array(decoder.output.bias)
        logits = graph.table_product(features[0], "output.0", table, bias)
    else:
        logits = linear_layer(graph, features, decoder.output, "output")
    log_probs = graph.op("LogSoftmax", logits, axis=-1)
    found["log_probs"] = log_probs
    best = likeliest(graph, log_probs, given["top"], decoder.embedding.num_embeddings)
    found["top_log_probs"], found["top_ids"] = best
    for i, named in enumerate(layers):
        found |= {f"{part}{i}_next": named.pop(STATE_NAMES[part]) for part in carries}
    graph.give(spec, found)
    for i, named in enumerate(layers):  # the rest: gates and candidates
        for name, value in named.items():
            traced = TracedValue("decoder", i, reverse=False, name=name)
            graph.output(traced.spec(config.hidden_size), value)
    return graph


def carried_parts(model: Seq2Seq) -> tuple[str, ...]:
    """What the decoder's cells read of the state before: `h`, `c`, or both."""
    return model.decoder.bottom.list_cells()[0].spec.carries


def _joined_directions(graph: Graph, encoder: Encoder, finals: list[CellState]) -> list[CellState]:
    """Each layer's final states of both directions side by side, (B, H)."""
    if encoder.directions == 1:
        return finals
    pairs = zip(finals[0::2], finals[1::2], strict=True)
    return [
        {part: graph.concat([forward[part], backward[part]]) for part in forward}
        for forward, backward in pairs
    ]


def _bridged(
    graph: Graph, bridge: Bridge, states: list[CellState], carries: Sequence[str]
) -> list[CellState]:
    if bridge.same:
        return states
    layers: list[CellState] = [{} for _ in range(bridge.layers)]
    for part in carries:
        layer = bridge.h if part == "h" else bridge.c
        assert isinstance(layer, nn.Linear)
        wide = linear_layer(graph, [state[part] for state in states], layer, f"bridge.{part}")
        wide = wide.tanh() if part == "h" else wide
        pieces = wide.chunk(bridge.layers, -1) if bridge.layers > 1 else (wide,)
        for state, piece in zip(layers, pieces, strict=True):
            state[part] = piece
    return layers
