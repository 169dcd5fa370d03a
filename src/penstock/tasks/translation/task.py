"""Translation: a sentence, or any sequence, to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.tasks.shared_settings import POOLING, STREAM_ONLY, TRANSFORMER
from penstock.tasks.task import GraphMaker, Learning, Service, Task, Use

if TYPE_CHECKING:
    from penstock.config import RunConfig
    from penstock.tasks.translation.translator import Translator
    from penstock.tasks.unrolled_graph import Graph

_WARM_ROWS = 512  # larger batches are rare; their products are compiled when one comes


def _learning() -> Learning:
    from penstock.tasks.translation.learner import prepare_learner
    from penstock.tasks.translation.network import build_network

    return Learning(network=build_network, learner=prepare_learner)


def _graphs() -> GraphMaker:
    from penstock.tasks.translation.graphs import make_graphs

    return make_graphs


def _use() -> Use:
    from penstock.tasks.translation.evaluation import evaluate, score
    from penstock.tasks.translation.outcomes import outcomes
    from penstock.tasks.translation.translator import Translator

    return Use(
        model=Translator,
        evaluate=evaluate,
        score=score,
        searches=True,
        service=Service(noun="translator", warm_up=_warm_up, by_languages=True),
        outcomes=outcomes,
    )


def _warm_up(translator: Translator) -> None:
    translator.warm_up(_WARM_ROWS)
    translator.translate(["A short text."])


def _unroll(config: RunConfig, steps: int) -> Graph:
    from penstock.tasks.translation.unrolled import unroll

    return unroll(config, steps)


TRANSLATION = Task(
    name="translation",
    verb="translate",
    trial="echo TEXT | penstock translate",
    pipeline="translation",
    target="text",
    metrics=("loss",),
    corpus_metrics=True,
    unused={
        **STREAM_ONLY,
        **POOLING,
        "data.normalize": "text.source.kind = 'word' normalises as the chapter does",
        "model.num_layers": "the depths are model.encoder_layers and model.decoder_layers",
        "model.token_dropout": "a translation model reads its text whole",
    },
    unused_with_transformer=TRANSFORMER,
    learning=_learning,
    graphs=_graphs,
    use=_use,
    unroll=_unroll,
    features=("log_probability", "per_token", "lowest", "length", "finished", "margin"),
)
