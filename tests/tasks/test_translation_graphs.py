"""Exported translation models against the network: same numbers, alone and in any batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from penstock.config import ExportPrecision, ModelConfig, RunConfig
from penstock.errors import UsageError
from penstock.export.graph_builder import Graph
from penstock.export.recurrent_layers import embedded
from penstock.nn.seq2seq import Seq2Seq
from penstock.runtime.decoder_engine import TranslationEngine
from penstock.runtime.onnx.translation_engine import OnnxState, OnnxTranslator
from penstock.runtime.torch_translation import TorchTranslation
from penstock.special_tokens import BOS_ID, EOS_ID
from penstock.tasks.translation.graphs import make_graphs

SOURCE_SIZE, TARGET_SIZE = 31, 29
SOURCES = [[7, 9, EOS_ID], [5, 6, 11, 30, 8, EOS_ID], [EOS_ID], [4, 12, 13, 14, EOS_ID]]
TARGETS = np.array([[BOS_ID, 5, 6, 7], [BOS_ID, 9, 9, 4], [BOS_ID, 28, 8, 5], [BOS_ID, 4, 4, 4]])
SIZES = {"embedding_size": 10, "hidden_size": 12, "attention_heads": 2}
FORMS: dict[str, dict[str, Any]] = {
    "rnn": {"cell": "rnn"},
    "gru": {"cell": "gru"},
    "gru before": {"cell": "gru", "gru_form": "before", "backend": "reference"},
    "lstm": {"cell": "lstm"},
    "sru": {"cell": "sru", "encoder_layers": 2, "hidden_size": 10},
    "ssru": {"cell": "ssru", "decoder_layers": 3},
    "mingru": {"cell": "mingru", "residual": True, "encoder_layers": 2},
    "minlstm": {"cell": "minlstm"},
    "layer norm": {"cell": "lstm", "layer_norm": True, "backend": "reference"},
    "layer norm, gru": {"cell": "gru", "layer_norm": True, "backend": "reference"},
    "deep": {"encoder_layers": 3, "decoder_layers": 3, "residual": True, "embedding_size": 12},
    "one direction": {"bidirectional": False, "encoder_layers": 2, "cell": "gru"},
    "bridge": {"encoder_layers": 3, "decoder_layers": 1},
    "same depth": {"encoder_layers": 2, "decoder_layers": 2, "cell": "gru"},
    "no attention": {"attention": "none"},
    "no attention, one direction": {"attention": "none", "bidirectional": False, "cell": "gru"},
    "no readout": {"attention": "none", "readout_size": 0, "tie_embeddings": "none"},
    "dot": {"attention": "dot"},
    "additive": {"attention": "additive", "attention_size": 7},
    "multihead": {"attention": "multihead", "attention_size": 8},
    "untied": {"tie_embeddings": "none", "readout_size": 9},
    "scaled": {"scale_embeddings": True},
    # keys of more than one block, the last filled up
    "wide": {"hidden_size": 300, "decoder_layers": 1},
    "wide heads": {"attention": "multihead", "attention_size": 520, "decoder_layers": 1},
}


def network(options: dict[str, Any]) -> tuple[ModelConfig, Seq2Seq]:
    torch.manual_seed(1)
    config = ModelConfig.model_validate({**SIZES, **options})
    model = Seq2Seq(config, source_size=SOURCE_SIZE, target_size=TARGET_SIZE)
    with torch.no_grad():
        for parameter in model.parameters():
            bound = 0.5 if parameter.ndim < 2 else 2 / parameter.shape[1] ** 0.5
            parameter.uniform_(-bound, bound)
    return config, model.eval()


def exported(
    config: ModelConfig, model: Seq2Seq, precision: ExportPrecision, *, threads: int = 1
) -> OnnxTranslator:
    sample = list(zip(SOURCES, TARGETS.tolist(), strict=True))
    files = make_graphs(RunConfig(model=config), model, sample, precision)
    return OnnxTranslator(config, files, vocab_size=TARGET_SIZE, place="model", threads=threads)


def followed(
    engine: OnnxTranslator, sources: list[list[int]], targets: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Log-probabilities and attention of each step under teacher forcing."""
    state, found = engine.start(sources), []
    for tokens in targets.T:
        output = engine.step(tokens, state, top=0)
        assert output.ids is None
        found.append((output.log_probs, output.attention))
        state = output.state
    return found


def expected(model: Seq2Seq) -> list[tuple[np.ndarray, np.ndarray | None]]:
    lengths = torch.tensor([len(source) for source in SOURCES])
    padded = torch.zeros(len(SOURCES), int(lengths.max()), dtype=torch.long)
    for row, source in zip(padded, SOURCES, strict=True):
        row[: len(source)] = torch.tensor(source)
    with torch.no_grad():
        memory, state = model.encode(padded, lengths)
        features = model.decoder.features(torch.from_numpy(TARGETS), state, memory)
        log_probs = model.decoder.output(features.values).log_softmax(-1).numpy()
    weights = None if features.weights is None else features.weights.mean(1).numpy()
    return [
        (log_probs[:, t], None if weights is None else weights[:, t])
        for t in range(TARGETS.shape[1])
    ]


@pytest.mark.parametrize("form", FORMS)
def test_the_float_graphs_compute_the_network(form: str) -> None:
    config, model = network(FORMS[form])
    found = followed(exported(config, model, "fp32"), SOURCES, TARGETS)
    for (log_probs, weights), (wanted, attention) in zip(found, expected(model), strict=True):
        assert log_probs == pytest.approx(wanted, abs=2e-4)
        assert (weights is None) == (attention is None)
        if weights is not None and attention is not None:
            assert weights == pytest.approx(attention, abs=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_int8_is_near_the_network(form: str) -> None:
    config, model = network(FORMS[form])
    found = followed(exported(config, model, "int8"), SOURCES, TARGETS)
    for (log_probs, _), (wanted, _) in zip(found, expected(model), strict=True):
        spread = wanted.max() - wanted.min()
        assert np.abs(log_probs - wanted).max() < 0.1 * spread


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("form", FORMS)
def test_a_sentence_is_the_same_in_any_batch(
    form: str, precision: ExportPrecision, threads: int
) -> None:
    config, model = network(FORMS[form])
    engine = exported(config, model, precision, threads=threads)
    together = followed(engine, SOURCES, TARGETS)
    order = [2, 0, 3, 1, 1, 0] * 11  # more than are encoded at once
    shuffled = followed(engine, [SOURCES[i] for i in order], TARGETS[order])
    for i, source in enumerate(SOURCES):
        alone = followed(engine, [source], TARGETS[i : i + 1])
        for t, (log_probs, weights) in enumerate(alone):
            assert (log_probs[0] == together[t][0][i]).all()
            assert (log_probs[0] == shuffled[t][0][order.index(i)]).all()
            attention = together[t][1]
            if weights is not None and attention is not None:
                assert (weights[0] == attention[i, : len(source)]).all()
                assert not attention[i, len(source) :].any()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_threads_change_nothing(precision: ExportPrecision) -> None:
    config, model = network({"hidden_size": 300, "decoder_layers": 2})
    one, two = (
        followed(
            exported(config, model, precision, threads=threads),
            SOURCES * 9,
            TARGETS[[0, 1, 2, 3] * 9],
        )
        for threads in (1, 2)
    )
    for (first, _), (second, _) in zip(one, two, strict=True):
        assert (first == second).all()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_given_targets_are_scored_as_they_are_found(precision: ExportPrecision) -> None:
    config, model = network({})
    engine: TranslationEngine = exported(config, model, precision)
    engine.warm_up(10)
    targets = [[5, 6, EOS_ID], [9, EOS_ID], [EOS_ID], [28, 8, 5, 4, EOS_ID]]
    found = engine.score(SOURCES, targets)
    assert found.shape == (4, 5)
    for row, (source, target) in enumerate(zip(SOURCES, targets, strict=True)):
        state, last = engine.start([source]), BOS_ID
        for t, token in enumerate(target):
            output = engine.step(np.array([last]), state, top=0)
            assert found[row, t] == output.log_probs[0, token]
            state, last = output.state, token


@pytest.mark.parametrize("form", FORMS)
def test_a_trace_of_the_graphs_is_that_of_the_network(form: str) -> None:
    config, model = network(FORMS[form])
    output = [5, 6, 9, EOS_ID]
    found = exported(config, model, "fp32").trace(SOURCES[1], output)
    wanted = TorchTranslation(model).trace(SOURCES[1], output)
    np.testing.assert_allclose(found.log_probs, wanted.log_probs, atol=1e-4)
    assert (found.attention is None) == (wanted.attention is None)
    if found.attention is not None and wanted.attention is not None:
        np.testing.assert_allclose(found.attention[0], wanted.attention.mean(0), atol=1e-5)
    for own, other in zip(found.layers, wanted.layers, strict=True):
        assert replace(own, values={}) == replace(other, values={})
        assert list(own.values) == list(other.values)
        for name, values in own.values.items():
            np.testing.assert_allclose(values, other.values[name], atol=1e-5)


def test_gates_of_int8_are_those_that_it_computes_with() -> None:
    config, model = network({})
    engine = exported(config, model, "int8")
    lowest = [own for own in engine.trace(SOURCES[1], [5, EOS_ID]).layers if own.side == "decoder"]
    for own in lowest:  # the state follows from the gates, exactly
        i, f, o, g, c, h = own.values.values()
        assert np.abs(o * np.tanh(c) - h).max() < 1e-6
        assert np.abs(f[1] * c[0] + i[1] * g[1] - c[1]).max() < 1e-6


@pytest.mark.parametrize("attention", ["none", "general"])
def test_rows_are_gathered_in_the_next_step(attention: str) -> None:
    config, model = network({"attention": attention})
    engine = exported(config, model, "int8")
    state = engine.step(TARGETS[:, 0], engine.start(SOURCES), top=3).state
    rows = np.array([1, 1, 0, 3, 1])
    tokens = np.array([5, 6, 7, 8, 9])
    chosen = engine.step(
        tokens, state.select(np.array([1, 0, 3])).select(rows[[2, 2, 0, 0, 2]]), top=0
    )
    wanted = np.array([1, 0, 3])[rows[[2, 2, 0, 0, 2]]]
    for row, (sentence, token) in enumerate(zip(wanted, tokens, strict=True)):
        start = engine.start([SOURCES[sentence]])
        first = engine.step(TARGETS[sentence : sentence + 1, 0], start, top=1).state
        alone = engine.step(np.array([token]), first, top=0)
        assert (chosen.log_probs[row] == alone.log_probs[0]).all()


def test_memory_that_no_row_needs_goes() -> None:
    config, model = network({})
    engine = exported(config, model, "int8")
    state = engine.start(SOURCES)
    fewer = state.select(np.array([3, 3]))
    assert (state.memory.sentences, fewer.memory.sentences) == (4, 1)
    assert state.select(np.array([0, 1, 3])).memory is state.memory
    found = engine.step(np.array([5, 6]), fewer, top=0).log_probs
    wanted = engine.step(np.array([4, 4, 5, 6]), state.select(np.array([0, 1, 3, 3])), top=0)
    assert (found == wanted.log_probs[2:]).all()


def test_states_of_one_start_join() -> None:
    config, model = network({})
    engine = exported(config, model, "int8")
    start = engine.start(SOURCES[1:2]).select(np.array([0, 0, 0]))
    first = engine.step(np.array([BOS_ID, 7, 9]), start, top=1).state
    second = engine.step(np.array([4, 5, 6]), first, top=1).state
    parts: list[OnnxState] = [first.select(np.array([2, 1])), second, first.select(np.array([0]))]
    joined = parts[0].join(parts[1:])
    tokens = np.array([5, 6, 7, 8, 9, 10])
    found = engine.step(tokens, joined, top=0).log_probs
    at = 0
    for part in parts:
        size = len(part.sentences)
        wanted = engine.step(tokens[at : at + size], part, top=0).log_probs
        assert (found[at : at + size] == wanted).all()
        at += size
    assert at == len(tokens)


def test_a_state_can_be_stepped_from_again() -> None:
    config, model = network({})
    engine = exported(config, model, "int8")
    state = engine.start(SOURCES)
    first, again = (engine.step(TARGETS[:, 0], state, top=0) for _ in range(2))
    assert (first.log_probs == again.log_probs).all()


@pytest.mark.parametrize("top", [1, 3, TARGET_SIZE, 1000])
def test_the_best_candidates_come_greatest_first_and_the_lower_id_first(top: int) -> None:
    config, model = network({})
    with torch.no_grad():  # two pairs of tokens that are equally likely everywhere
        for same, other in ((4, 20), (11, 12)):
            model.decoder.output.weight[other] = model.decoder.output.weight[same]
            model.decoder.output.bias[[same, other]] = 3.0
    engine = exported(config, model, "fp32")
    state = engine.start(SOURCES)
    every = engine.step(TARGETS[:, 0], state, top=0).log_probs
    best = engine.step(TARGETS[:, 0], state, top=top)
    assert best.ids is not None
    order = np.argsort(-every, axis=1, kind="stable")[:, : min(top, TARGET_SIZE)]
    assert (best.ids == order).all()
    assert (best.log_probs == np.take_along_axis(every, order, 1)).all()


def test_a_transformer_encoder_is_rejected_with_the_reason() -> None:
    graph = Graph("fp32")
    with pytest.raises(UsageError, match="pretrained Transformer encoder cannot be exported"):
        embedded(graph, torch.nn.Linear(1, 1), graph.ints(1))
