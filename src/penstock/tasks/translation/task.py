"""Translation: a sentence, or any sequence, to another."""

from __future__ import annotations

from penstock.tasks.shared_settings import POOLING, STREAM_ONLY, TRANSFORMER
from penstock.tasks.task import GraphMaker, Learning, Task


def _learning() -> Learning:
    from penstock.tasks.translation.learner import prepare_learner
    from penstock.tasks.translation.network import build_network, states

    return Learning(network=build_network, learner=prepare_learner, states=states)


def _graphs() -> GraphMaker:
    from penstock.tasks.translation.graphs import make_graphs

    return make_graphs


TRANSLATION = Task(
    name="translation",
    verb="translate",
    trial="echo TEXT | penstock translate",
    target="text",
    metrics=("loss", "bleu", "chrf", "exact_match"),
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
)
