"""Cloze: a token that was left out, from both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.tasks.shared_settings import (
    LEARNS_BY_LOSS,
    ONE_STACK,
    ONE_TEXT,
    POOLING,
    STREAM_ONLY,
    TRANSLATION_ONLY,
)
from penstock.tasks.task import GraphMaker, Learning, Service, Task, Use

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.bundle import Bundle
    from penstock.config import RunConfig
    from penstock.runtime.engine import Engine
    from penstock.tasks.unrolled_graph import Graph


def _problem(config: RunConfig) -> str:
    if config.text.source.makes_pieces:
        return (
            f"text.source.kind = {config.text.source.kind!r}: a blank of a cloze is one token, "
            "and a piece of a word is no blank; choose word, char or separator"
        )
    if not config.model.bidirectional:
        return (
            "model.bidirectional = false: a cloze reads both sides of a blank; what reads the left "
            "alone is task = 'language-model'"
        )
    return ""


def _learning() -> Learning:
    from penstock.tasks.cloze.learner import prepare_learner
    from penstock.tasks.cloze.network import build_network

    return Learning(network=build_network, learner=prepare_learner)


def _graphs() -> GraphMaker:
    from penstock.tasks.cloze.graphs import make_graphs

    return make_graphs


def _graph_engine() -> Callable[[Bundle, int], Engine]:
    from penstock.tasks.cloze.onnx_engine import OnnxCloze

    return OnnxCloze


def _use() -> Use:
    from penstock.tasks.cloze.blank_filler import BLANK, BlankFiller
    from penstock.tasks.cloze.evaluation import evaluate
    from penstock.tasks.cloze.outcomes import outcomes
    from penstock.tasks.line_scores import score_lines

    return Use(
        model=BlankFiller,
        evaluate=evaluate,
        score=score_lines,
        service=Service(noun="cloze model", warm_up=lambda filler: filler.fill([f"A {BLANK}"])),
        outcomes=outcomes,
    )


def _unroll(config: RunConfig, steps: int) -> Graph:
    from penstock.tasks.cloze.unrolled import unroll

    return unroll(config, steps)


CLOZE = Task(
    name="cloze",
    verb="fill",
    trial="echo 'A ___ TEXT' | penstock fill",
    pipeline="fill-mask",
    target="none",
    metrics=("loss", "accuracy"),
    defaults={
        "text": {"source": {"kind": "word"}},
        "model": {**ONE_STACK, "token_dropout": 0.1},
        "training": LEARNS_BY_LOSS,
    },
    unused={
        **TRANSLATION_ONLY,
        **ONE_TEXT,
        **STREAM_ONLY,
        **POOLING,
        "model.transformer": "a Transformer encoder reads every token, the blank's too, so its "
        "features hold the answer",
    },
    problem=_problem,
    learning=_learning,
    graphs=_graphs,
    graph_engine=_graph_engine,
    use=_use,
    unroll=_unroll,
    features=("log_odds", "margin"),
)
