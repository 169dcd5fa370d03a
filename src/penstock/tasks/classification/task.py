"""Classification: a label for a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.tasks.shared_settings import (
    LEARNS_BY_LOSS,
    ONE_STACK,
    STREAM_ONLY,
    TRANSFORMER,
    TRANSLATION_ONLY,
)
from penstock.tasks.task import GraphMaker, Learning, Service, Task, Use

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.bundle import Bundle
    from penstock.config import RunConfig
    from penstock.runtime.engine import Engine
    from penstock.tasks.unrolled_graph import Graph


def _learning() -> Learning:
    from penstock.tasks.classification.learner import prepare_learner
    from penstock.tasks.classification.network import build_network

    return Learning(network=build_network, learner=prepare_learner)


def _graphs() -> GraphMaker:
    from penstock.tasks.classification.graphs import make_graphs

    return make_graphs


def _graph_engine() -> Callable[[Bundle, int], Engine]:
    from penstock.tasks.classification.onnx_engine import OnnxClassifier

    return OnnxClassifier


def _use() -> Use:
    from penstock.tasks.classification.evaluation import evaluate
    from penstock.tasks.classification.outcomes import outcomes
    from penstock.tasks.classification.text_classifier import TextClassifier

    return Use(
        model=TextClassifier,
        evaluate=evaluate,
        service=Service(
            noun="classifier", warm_up=lambda classifier: classifier.classify(["A short text."])
        ),
        outcomes=outcomes,
    )


def _unroll(config: RunConfig, steps: int) -> Graph:
    from penstock.tasks.classification.unrolled import unroll

    return unroll(config, steps)


CLASSIFICATION = Task(
    name="classification",
    verb="classify",
    trial="echo TEXT | penstock classify",
    pipeline="text-classification",
    target="label",
    metrics=("loss", "accuracy", "f1"),
    defaults={
        "text": {
            "source": {"kind": "word"},
            # a label is one token, whatever it is made of: no label has a line end
            "target": {"kind": "separator", "separator": "\n", "min_frequency": 1},
        },
        "model": {**ONE_STACK, "tie_embeddings": "none", "token_dropout": 0.1},
        "training": {**LEARNS_BY_LOSS, "metric": "accuracy"},
    },
    unused={
        **TRANSLATION_ONLY,
        **STREAM_ONLY,
        "text.target": "a label is one token as it stands",
        "data.max_target_tokens": "a label is one token as it stands",
        "data.language_column": "only a translation model has target languages",
        "model.tie_embeddings": "labels have no embeddings",
        "model.target_vectors": "labels have no embeddings",
        "model.readout_size": "the output layer reads the pooled states",
    },
    unused_with_transformer={
        **TRANSFORMER,
        "model.embedding_size": "model.transformer has a width of its own",
        "model.scale_embeddings": "model.transformer gives the vectors",
    },
    learning=_learning,
    graphs=_graphs,
    graph_engine=_graph_engine,
    use=_use,
    unroll=_unroll,
    features=("log_odds", "margin"),
)
