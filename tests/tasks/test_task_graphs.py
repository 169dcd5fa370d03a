"""Exported language models, classifiers and clozes against their networks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from penstock.config import ExportPrecision, ModelConfig
from penstock.export.calibration import Observer, Ranges
from penstock.export.graph_builder import Graph
from penstock.nn.cells import cell_spec
from penstock.runtime.onnx.interface import GRAPH_ROLE
from penstock.special_tokens import EOS_ID
from penstock.tasks.classification.graphs import classifier_graph
from penstock.tasks.classification.network import Classifier
from penstock.tasks.classification.onnx_engine import OnnxClassifier
from penstock.tasks.cloze.graphs import cloze_graph
from penstock.tasks.cloze.network import Cloze
from penstock.tasks.cloze.onnx_engine import OnnxCloze
from penstock.tasks.language_model.graphs import language_model_graph
from penstock.tasks.language_model.network import LanguageModel
from penstock.tasks.language_model.onnx_engine import OnnxLanguageModel

V, LABELS = 23, 5
SIZES = {"embedding_size": 10, "hidden_size": 12, "dropout": 0.0, "attention": "none"}
IDS = np.array([[5, 6, 7, 8, EOS_ID], [9, 10, EOS_ID, 0, 0], [11, EOS_ID, 0, 0, 0]])
LENGTHS = np.array([5, 3, 2])
TOLERANCE = {"fp32": 1e-4, "int8": 0.4}
CELLS: dict[str, dict[str, Any]] = {
    "rnn": {"cell": "rnn", "num_layers": 2},
    "gru": {"cell": "gru"},
    "gru before": {"cell": "gru", "gru_form": "before", "backend": "reference"},
    "lstm": {"cell": "lstm", "num_layers": 2},
    "sru": {"cell": "sru", "num_layers": 2, "embedding_size": 12},
    "ssru": {"cell": "ssru", "num_layers": 2},
    "minlstm": {"cell": "minlstm"},
    "untied": {"tie_embeddings": "none"},
    "residual": {"residual": True, "num_layers": 3, "embedding_size": 12},
}
every_cell = pytest.mark.parametrize("cell", CELLS)
every_precision = pytest.mark.parametrize("precision", ["fp32", "int8"])


def config_of(cell: str, **options: Any) -> ModelConfig:
    return ModelConfig.model_validate({**SIZES, **CELLS[cell], **options})


def spread(model: nn.Module) -> Any:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            bound = 0.5 if parameter.ndim < 2 else 2 / parameter.shape[1] ** 0.5
            parameter.uniform_(-bound, bound)
    return model.eval()


def bundle_of(config: ModelConfig, graph: Graph) -> Any:
    """As much of a bundle as an engine looks at."""
    return SimpleNamespace(
        config=SimpleNamespace(model=config),
        files={GRAPH_ROLE: graph.serialize()},
        source_tokenizer=SimpleNamespace(vocab_size=V),
        labels=["label"] * LABELS,
        place="model",
    )


def ranges_of(graph: Any, *feeds: dict[str, Any]) -> dict[str, float]:
    ranges = Ranges()
    observer = Observer(graph, ranges)
    for feed in feeds:
        observer.run(feed)
    return ranges.fixed()


def language_model(
    cell: str, precision: ExportPrecision
) -> tuple[LanguageModel, OnnxLanguageModel]:
    config = config_of(cell, bidirectional=False)
    model = spread(LanguageModel(config, vocab_size=V))
    graph = language_model_graph(config, model, "fp32")
    if precision == "int8":
        zeros = np.zeros((config.num_layers, 3, config.hidden_size), np.float32)
        feed = {"ids": IDS, "positions": np.arange(15), "h": zeros, "c": zeros}
        if not cell_spec(config.cell).has_cell:
            del feed["c"]
        graph = language_model_graph(config, model, "int8", ranges_of(graph, feed))
    return model, OnnxLanguageModel(bundle_of(config, graph))


@every_precision
@every_cell
def test_a_language_model_reads_and_scores(cell: str, precision: ExportPrecision) -> None:
    model, engine = language_model(cell, precision)
    with torch.no_grad():
        logits, after = model(torch.from_numpy(IDS))
        wanted = logits.log_softmax(-1).numpy()
    log_probs, h, c = engine.read(IDS)
    assert log_probs == pytest.approx(wanted[:, -1], abs=TOLERANCE[precision])
    assert h == pytest.approx(after.h.numpy(), abs=TOLERANCE[precision])
    assert (c is None) == (after.c is None)
    targets = np.roll(IDS, -1, 1)
    chosen, best, *state = engine.run("score", IDS, targets)
    assert chosen is not None
    assert best is not None
    expected = np.take_along_axis(wanted, targets[:, :, None], 2)[:, :, 0]
    assert chosen == pytest.approx(expected, abs=TOLERANCE[precision])
    if precision == "fp32":
        assert (best == wanted.argmax(-1)).all()
    # in two calls, and alone, the same bits as in one
    _, first_h, first_c = engine.read(IDS[:, :2])
    later, last_h, last_c = engine.read(IDS[:, 2:], first_h, first_c)
    assert (later == log_probs).all()
    assert (last_h == h).all()
    assert (state[0] == h).all()
    assert last_c is c is None or (c is not None and (last_c == c).all())
    for row in range(len(IDS)):
        assert (engine.read(IDS[row : row + 1])[0] == log_probs[row]).all()


@every_precision
def test_a_language_models_states_begin_after_an_end(precision: ExportPrecision) -> None:
    model, engine = language_model("lstm", precision)
    with torch.no_grad():
        begun = torch.cat([torch.full((3, 1), EOS_ID), torch.from_numpy(IDS)], 1)
        wanted = model.features(begun)[0][:, 1:].numpy()
    (states,) = engine.run("states", IDS, LENGTHS)
    assert states == pytest.approx(wanted, abs=TOLERANCE[precision])


@every_precision
@pytest.mark.parametrize("pooling", ["final", "mean", "max"])
@every_cell
def test_a_classifier_gives_probabilities(
    cell: str, pooling: str, precision: ExportPrecision
) -> None:
    config = config_of(cell, pooling=pooling)
    model = spread(Classifier(config, vocab_size=V, num_labels=LABELS))
    graph = classifier_graph(config, model, "fp32")
    if precision == "int8":
        ranges = ranges_of(graph, {"ids": IDS, "lengths": LENGTHS})
        graph = classifier_graph(config, model, "int8", ranges)
    engine = OnnxClassifier(bundle_of(config, graph))
    with torch.no_grad():
        ids, lengths = torch.from_numpy(IDS), torch.from_numpy(LENGTHS)
        wanted = model(ids, lengths).softmax(-1).numpy()
        states = model.encoder(ids, lengths)[0].numpy()
    (found,) = engine.run("probabilities", IDS, LENGTHS)
    assert found == pytest.approx(wanted, abs=TOLERANCE[precision] / 2)
    (read,) = engine.run("states", IDS, LENGTHS)
    assert read == pytest.approx(states, abs=TOLERANCE[precision])
    for row, length in enumerate(LENGTHS):
        alone = engine.probabilities(IDS[row : row + 1, :length], LENGTHS[row : row + 1])[0]
        assert found is not None
        assert (alone[0] == found[row]).all()


@every_precision
@every_cell
def test_a_cloze_reads_both_sides_of_a_blank(cell: str, precision: ExportPrecision) -> None:
    options = {"embedding_size": 6} if cell == "residual" else {}
    config = config_of(cell, **options)
    model = spread(Cloze(config, vocab_size=V))
    graph = cloze_graph(config, model, "fp32")
    ids, lengths = torch.from_numpy(IDS), torch.from_numpy(LENGTHS)
    with torch.no_grad():
        contexts = model.contexts(ids, lengths).numpy()
        states = model.states(ids, lengths).numpy()
    real = np.arange(IDS.shape[1]) < LENGTHS[:, None]
    blanks = real & (np.arange(IDS.shape[1]) < LENGTHS[:, None] - 1)
    if precision == "int8":
        feed = {"ids": IDS, "lengths": LENGTHS, "blanks": contexts[blanks]}
        graph = cloze_graph(config, model, "int8", ranges_of(graph, feed))
    engine = OnnxCloze(bundle_of(config, graph))
    found, read = (engine.run(name, IDS, LENGTHS)[0] for name in ("contexts", "states"))
    assert found is not None
    assert read is not None
    assert found[blanks] == pytest.approx(contexts[blanks], abs=TOLERANCE[precision])
    assert read[real] == pytest.approx(states[real], abs=TOLERANCE[precision])
    with torch.no_grad():
        given = torch.from_numpy(found[blanks])
        wanted = model.readout(given[None])[0].log_softmax(-1).numpy()
    (log_probs,) = engine.run("log_probs", found[blanks])
    assert log_probs == pytest.approx(wanted, abs=TOLERANCE[precision])
    for row, length in enumerate(LENGTHS):
        alone = engine.contexts(IDS[row : row + 1, :length], LENGTHS[row : row + 1])[0]
        assert (alone[0, : length - 1] == found[row, : length - 1]).all()
