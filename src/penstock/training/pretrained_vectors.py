"""Initialization of embeddings from files of word vectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from penstock.config import RunConfig
from penstock.data.store import PairStore
from penstock.data.word_vectors.initial_vectors import read_vectors
from penstock.nn.embedding import TokenEmbedding
from penstock.text import Tokenizer
from penstock.training.examples import Report

Side = Literal["source", "target"]
Ids = NDArray[np.integer[Any]]


def prepare_embeddings(
    config: RunConfig,
    data: PairStore | Ids,
    report: Report,
    *,
    source: tuple[nn.Module, Tokenizer],
    target: tuple[nn.Module, Tokenizer] | None = None,
    from_scratch: bool,
) -> None:
    """Initialize embeddings from the configured files, and freeze them if configured.

    Args:
        config: names the files.
        data: the tokenized training text: pairs, or one row of ids.
        report: called with how much of the text has vectors.
        source, target: embedding and tokenizer of a side; a single text is the source.
        from_scratch: False if a checkpoint has the weights; the files are then not read, nor are
            they when a run goes on from a model.

    Raises:
        DataError: a file is unusable (see `read_vectors`).
    """
    model = config.model
    both: tuple[Side, ...] = ("source", "target")
    paths = (model.source_vectors, model.target_vectors)
    for side, path, embedding in zip(both, paths, (source, target), strict=True):
        if path is None or embedding is None:
            continue
        table, tokenizer = embedding
        assert isinstance(table, TokenEmbedding)
        if from_scratch and config.start.model is None:
            sides = both if model.tie_embeddings == "all" else (side,)
            _initialize(table, path, tokenizer, _count(data, tokenizer, sides), report)
        if model.freeze_vectors:
            table.weight.requires_grad = False


def _initialize(
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
    data: PairStore | Ids, tokenizer: Tokenizer, sides: tuple[Side, ...]
) -> NDArray[np.int64]:
    """The frequency of each id in the training text."""
    counts = np.zeros(tokenizer.vocab_size, np.int64)
    for ids in _texts(data, sides):
        counts += np.bincount(ids, minlength=tokenizer.vocab_size)
    return counts


def _texts(data: PairStore | Ids, sides: tuple[Side, ...]) -> Iterator[Ids]:
    if not isinstance(data, PairStore):
        yield data
        return
    for block in range(data.num_blocks):
        for side, texts in zip(("source", "target"), data.read([block]), strict=True):
            if side in sides:
                yield texts.values
