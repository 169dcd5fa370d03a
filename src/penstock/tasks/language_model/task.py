"""Language model: each token of a text from those before it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from penstock.tasks.shared_settings import (
    LEARNS_BY_LOSS,
    ONE_STACK,
    ONE_TEXT,
    POOLING,
    TRANSLATION_ONLY,
)
from penstock.tasks.task import GraphMaker, Learning, Service, Task, Use

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.bundle import Bundle
    from penstock.config import RunConfig
    from penstock.runtime.engine import Engine
    from penstock.tasks.language_model.text_generator import TextGenerator
    from penstock.tasks.unrolled_graph import Graph


def _problem(config: RunConfig) -> str:
    if config.model.bidirectional:
        return (
            "model.bidirectional = true: a language model predicts each token from those before "
            "it, and the backward direction would read the answer; its training perplexity would "
            "fall towards 1 and mean nothing (docs/chapter/bidirectional.md shows it). To fill "
            "blanks from both sides choose task = 'cloze'"
        )
    return ""


def _learning() -> Learning:
    from penstock.tasks.language_model.learner import prepare_learner
    from penstock.tasks.language_model.network import build_network
    from penstock.tasks.language_model.running_text import held_out_pairs

    return Learning(network=build_network, learner=prepare_learner, held_out=held_out_pairs)


def _graphs() -> GraphMaker:
    from penstock.tasks.language_model.graphs import make_graphs

    return make_graphs


def _graph_engine() -> Callable[[Bundle, int], Engine]:
    from penstock.tasks.language_model.onnx_engine import OnnxLanguageModel

    return OnnxLanguageModel


def _use() -> Use:
    from penstock.tasks.language_model.evaluation import evaluate
    from penstock.tasks.language_model.text_generator import TextGenerator
    from penstock.tasks.line_scores import score_lines

    return Use(
        model=TextGenerator,
        evaluate=evaluate,
        score=score_lines,
        service=Service(noun="language model", warm_up=_warm_up),
    )


def _warm_up(generator: TextGenerator) -> None:
    from penstock.tasks.language_model.writing_options import WritingOptions

    list(islice(generator.generate("A", WritingOptions(length=2)), 2))


def _unroll(config: RunConfig, steps: int) -> Graph:
    from penstock.tasks.language_model.unrolled import unroll

    return unroll(config, steps)


LANGUAGE_MODEL = Task(
    name="language-model",
    verb="generate",
    trial="penstock generate",
    pipeline="text-generation",
    target="none",
    metrics=("loss", "accuracy"),
    defaults={"model": {**ONE_STACK, "bidirectional": False}, "training": LEARNS_BY_LOSS},
    unused={
        **TRANSLATION_ONLY,
        **ONE_TEXT,
        **POOLING,
        "model.transformer": "a Transformer encoder reads what follows a token too, so its "
        "features hold the answer",
        "data.max_pairs": "a text has no pairs; a part of it is data.max_characters",
        "data.weights": "a text is read in its order",
        "data.temperature": "a text is read in its order",
        "data.workers": "a text is read by one process",
        "data.valid_pairs": "a text has no pairs; the part held out is data.valid_share",
        "training.evaluate_sentences": "the held-out part is training.evaluate_tokens",
    },
    problem=_problem,
    learning=_learning,
    graphs=_graphs,
    graph_engine=_graph_engine,
    use=_use,
    unroll=_unroll,
)
