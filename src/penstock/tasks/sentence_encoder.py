"""Encode lines for a model of whole sentences, in batches of similar length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.bundle import Bundle
from penstock.data.padding import cut_by_tokens, padded_ids
from penstock.special_tokens import EOS_ID
from penstock.text import letters_only

BATCH_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Sentence:
    """Ids, EOS last, and whether the sentence was truncated."""

    ids: list[int]
    cut: bool


@dataclass(frozen=True, slots=True)
class SentenceBatch:
    """A batch of sentences.

    Attributes:
        rows: their indices.
        ids: (B, S), padded.
        lengths: (B,) with EOS.
    """

    rows: list[int]
    ids: NDArray[np.int64]
    lengths: NDArray[np.int64]


class Sentences:
    """A bundle's normalization, tokenizer and length limit."""

    def __init__(self, bundle: Bundle) -> None:
        self._tokenizer = bundle.source_tokenizer
        self._letters = bundle.config.data.normalize == "letters"
        self._limit = bundle.config.data.max_source_tokens

    def normalized(self, line: str) -> str:
        """Normalize a line like the training text, its case too."""
        line = letters_only(line) if self._letters else line
        return self._tokenizer.form.read(line).text

    def encode(self, lines: Sequence[str]) -> list[Sentence]:
        """Encode each line, EOS last, truncated to the model's limit."""
        return [
            Sentence([*ids[: min(len(ids), self._limit) - 1], EOS_ID], len(ids) > self._limit)
            for ids in self.encode_whole(lines)
        ]

    def encode_whole(self, lines: Sequence[str]) -> list[list[int]]:
        """Encode each line, EOS last, without truncation.

        Raises:
            DataError: a line, by its number, lacks columns that the model reads.
        """
        self._tokenizer.form.check(lines)
        rows = self._tokenizer.encode_batch([self.normalized(line) for line in lines])
        return [[*ids, EOS_ID] for ids in rows]


def in_batches(rows: Sequence[list[int]], *, tokens: int = BATCH_TOKENS) -> Iterator[SentenceBatch]:
    """Yield batches of similar length with at most `tokens` tokens, padding included."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    order = np.argsort(lengths, kind="stable")
    for cut in cut_by_tokens(order, lengths[order], tokens):
        chosen: list[int] = cut.tolist()
        ids, counts = padded_ids([rows[i] for i in chosen])
        yield SentenceBatch(chosen, ids, counts)
