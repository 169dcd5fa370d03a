"""Pretrained word vectors for a vocabulary, from published files.

Mikolov et al. 2013 (https://arxiv.org/abs/1301.3781), Pennington et al. 2014 (GloVe), Bojanowski
et al. 2017 (fastText). See `vector_formats.py` for the formats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from penstock.data.formats.input_lines import STDIN
from penstock.data.word_vectors.fasttext import read_fasttext
from penstock.data.word_vectors.vector_formats import (
    FoundVectors,
    Vector,
    read_text,
    read_word2vec,
    sniff,
)
from penstock.errors import DataError
from penstock.text import BOS_ID, EOS_ID, PAD_ID, RESERVED

Match = Literal["exact", "lower", "ngrams"]


@dataclass(frozen=True)
class Coverage:
    """How much of a vocabulary and of a text has vectors.

    Attributes:
        found, types: tokens of the vocabulary with a vector, and in total.
        found_running, running: the same, counting every occurrence in the text.
    """

    found: int
    types: int
    found_running: int
    running: int

    def __str__(self) -> str:
        by_type = f"{self.found:,} of {self.types:,} tokens of the vocabulary"
        by_type += f" ({self.found / max(self.types, 1):.1%})"
        return f"{by_type}, {self.found_running / max(self.running, 1):.1%} of the running text"


@dataclass(frozen=True)
class WordVectors:
    """The vectors in a file for the tokens of a vocabulary.

    Attributes:
        name: of the file.
        index: (F,) ids of the tokens found, ascending.
        matrix: (F, E) their vectors.
        matches: how each matched: `exact`, in `lower` case, or composed from character `ngrams`.
        notes: messages about skipped entries.
    """

    name: str
    index: NDArray[np.int64]
    matrix: NDArray[np.float32]
    matches: tuple[Match, ...]
    notes: tuple[str, ...]

    def coverage(self, counts: ArrayLike) -> Coverage:
        """The share of the vocabulary and of the text with vectors.

        Args:
            counts: frequency of each id in the text; of the reserved ids only `<unk>` counts.
        """
        running = np.array(counts, np.int64)
        running[[PAD_ID, BOS_ID, EOS_ID]] = 0
        return Coverage(
            found=len(self.index),
            types=len(running) - len(RESERVED),
            found_running=int(running[self.index].sum()),
            running=int(running.sum()),
        )

    @property
    def ways(self) -> str:
        """A summary of how words matched."""
        ways: dict[Match, str] = {
            "exact": "exactly",
            "lower": "in lower case",
            "ngrams": "from character n-grams",
        }
        counts = Counter(self.matches)
        found = [f"{counts[match]:,} {words}" for match, words in ways.items() if counts[match]]
        return ", ".join(found)


def read_vectors(path: str | Path, words: Sequence[str | None], *, size: int) -> WordVectors:
    """Look up the words of a vocabulary in a file of vectors.

    A word matches exactly, else in lower case, else by its character n-grams (fastText models).
    Memory grows with the vocabulary, not with the file.

    Args:
        path: word2vec text or binary, fastText `.vec` or `.bin`, GloVe; plain or `.gz`, `.xz`,
            `.zst`.
        words: the word of each id, see `Tokenizer.words`; None for no word.
        size: dimension of the vectors, the model's `embedding_size`.

    Raises:
        DataError: an unreadable or damaged file, another dimension, or no word found.
    """
    if str(path) == STDIN:
        raise DataError("vectors are read from a file; give its path", path=path)
    forms = {form for word in words if word for form in (word, word.lower())}
    head = sniff(path)
    if head.format == "fasttext":
        found = read_fasttext(path, forms, {word for word in words if word}, size)
    elif head.format == "word2vec":
        found = read_word2vec(path, head, forms, size)
    else:
        found = read_text(path, head, forms, size)
    index: list[int] = []
    matrix: list[Vector] = []
    matches: list[Match] = []
    for token, word in enumerate(words):
        match = None if word is None else _match(word, found)
        if match is not None:
            index.append(token)
            matrix.append(match[1])
            matches.append(match[0])
    if not index:
        raise DataError(
            f"none of the {sum(word is not None for word in words):,} words of the vocabulary is "
            "in it; check the file's language, and that the tokens are words "
            "(text.source.kind = 'word')",
            path=path,
        )
    return WordVectors(
        Path(path).name,
        np.array(index, np.int64),
        np.stack(matrix),
        tuple(matches),
        tuple(_notes(found, Path(path).name)),
    )


def _match(word: str, found: FoundVectors) -> tuple[Match, Vector] | None:
    if (vector := found.vectors.get(word)) is not None:
        return "exact", vector
    if (vector := found.vectors.get(word.lower())) is not None:
        return "lower", vector
    vector = found.composed.get(word)
    return None if vector is None else ("ngrams", vector)


def _notes(found: FoundVectors, name: str) -> list[str]:
    notes: list[str] = []
    if found.duplicates:
        notes.append(
            f"{name}: {found.duplicates:,} words of the vocabulary are repeated; the first "
            "vector of each counts"
        )
    if found.unreadable:
        notes.append(
            f"{name}: {found.unreadable:,} of its words are not UTF-8 text and were left out"
        )
    return notes
