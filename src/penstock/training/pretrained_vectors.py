"""What a network begins with that is not random: word vectors from files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from penstock.config import RunConfig
from penstock.data.store import PairStore
from penstock.data.word_vectors.initial_vectors import read_vectors
from penstock.nn import Seq2Seq
from penstock.nn.embedding import TokenEmbedding
from penstock.tasks.networks import Network, source_embedding
from penstock.text import Tokenizer
from penstock.training.corpus import Report

Ids = NDArray[np.integer[Any]]


def begin_with_vectors(
    config: RunConfig,
    model: Network,
    source: Tokenizer,
    target: Tokenizer,
    data: PairStore | Ids,
    report: Report,
) -> None:
    """Put the configured files' vectors into the embeddings; say how much of the text has some.

    Args:
        config: names the files.
        model: the network.
        source, target: the tokenizers.
        data: the tokenised training text: pairs, or one row of ids.
        report: told the coverage.

    Raises:
        DataError: a file is unusable (see `read_vectors`).
    """
    settings = config.model
    embedding = source_embedding(model)
    if settings.source_vectors is not None and isinstance(embedding, TokenEmbedding):
        sides = ("source", "target") if settings.tie_embeddings == "all" else ("source",)
        _begin(embedding, settings.source_vectors, source, _count(data, source, sides), report)
    if settings.target_vectors is not None and isinstance(model, Seq2Seq):
        table = model.decoder.embedding
        assert isinstance(table, TokenEmbedding)
        _begin(table, settings.target_vectors, target, _count(data, target, ("target",)), report)


def freeze_vectors(config: RunConfig, model: Network) -> None:
    """Leave the embeddings that began with vectors out of training, where that is configured."""
    if not config.model.freeze_vectors:
        return
    embedding = source_embedding(model)
    if config.model.source_vectors is not None and isinstance(embedding, TokenEmbedding):
        embedding.weight.requires_grad = False
    if config.model.target_vectors is not None and isinstance(model, Seq2Seq):
        model.decoder.embedding.weight.requires_grad = False


def _begin(
    table: TokenEmbedding,
    path: str,
    tokenizer: Tokenizer,
    counts: NDArray[np.int64],
    report: Report,
) -> None:
    vectors = read_vectors(path, tokenizer.words(), size=table.embedding_dim)
    table.set_vectors(torch.from_numpy(vectors.index), torch.from_numpy(vectors.matrix))
    report(f"{vectors.name}: {vectors.coverage(counts)}; {vectors.ways}")
    for note in vectors.notes:
        report(note)


def _count(
    data: PairStore | Ids, tokenizer: Tokenizer, sides: tuple[str, ...]
) -> NDArray[np.int64]:
    """How often each id stands in the training text."""
    counts = np.zeros(tokenizer.vocab_size, np.int64)
    for ids in _texts(data, sides):
        counts += np.bincount(ids, minlength=tokenizer.vocab_size)
    return counts


def _texts(data: PairStore | Ids, sides: tuple[str, ...]) -> Iterator[Ids]:
    if not isinstance(data, PairStore):
        yield data
        return
    for block in range(data.num_blocks):
        for side, texts in zip(("source", "target"), data.read([block]), strict=True):
            if side in sides:
                yield texts.values
