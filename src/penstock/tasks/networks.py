"""The network of a run, by its task."""

from __future__ import annotations

from penstock.config import RunConfig
from penstock.nn.embedding import TokenEmbedding
from penstock.nn.frozen_transformer import FrozenTransformer
from penstock.nn.seq2seq import Seq2Seq
from penstock.special_tokens import RESERVED
from penstock.tasks.classification.network import Classifier
from penstock.tasks.cloze.network import Cloze
from penstock.tasks.language_model.network import LanguageModel

Network = Seq2Seq | LanguageModel | Classifier | Cloze


def build_network(
    config: RunConfig,
    *,
    source_size: int,
    target_size: int,
    transformer: FrozenTransformer | None = None,
) -> Network:
    """A network with its first weights.

    Args:
        config: the run's configuration.
        source_size: V of the source, or of the one text there is.
        target_size: V of the target; labels and the reserved ids for a classifier.
        transformer: in the place of the source's embedding; the configuration allows it only to
            a translation model and a classifier.

    Raises:
        ConfigError: sizes that do not fit the configuration.
    """
    if config.task == "translation":
        return Seq2Seq(
            config.model,
            source_size=source_size,
            target_size=target_size,
            transformer=transformer,
        )
    if config.task == "language-model":
        return LanguageModel(config.model, vocab_size=source_size)
    if config.task == "cloze":
        return Cloze(config.model, vocab_size=source_size)
    labels = target_size - len(RESERVED)
    return Classifier(
        config.model, vocab_size=source_size, num_labels=labels, transformer=transformer
    )


def source_embedding(model: Network) -> TokenEmbedding | FrozenTransformer:
    """What gives the vectors of the source, or of the one text there is."""
    owner = model.encoder if isinstance(model, Seq2Seq | Classifier) else model
    embedding = owner.embedding
    assert isinstance(embedding, TokenEmbedding | FrozenTransformer)
    return embedding
