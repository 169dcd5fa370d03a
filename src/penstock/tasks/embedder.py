"""Contextual vectors, one per token, from a trained model of any task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.errors import UsageError
from penstock.runtime.engine import required
from penstock.tasks.loaded_model import LoadedModel
from penstock.tasks.sentence_encoder import in_batches


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """The vectors of one line.

    Attributes:
        source: the line.
        tokens: its pieces.
        vectors: (tokens, H) float32, the top layer's states.
        truncated: whether the line is longer than the model's limit.
    """

    source: str
    tokens: list[str]
    vectors: NDArray[np.float32]
    truncated: bool

    @property
    def status(self) -> str:
        """`ok`, `empty` for a line without a token, `truncated`."""
        return "truncated" if self.truncated else "ok" if self.tokens else "empty"

    @property
    def mean(self) -> NDArray[np.float32]:
        """One vector (H,) for the line; zeros without tokens."""
        return self.vectors.mean(0) if self.tokens else np.zeros(self.size, np.float32)

    @property
    def size(self) -> int:
        """H."""
        return self.vectors.shape[1]


class Embedder(LoadedModel):
    """A model with its tokenizer.

    What a vector depends on differs by task: for a language model, the tokens up to its own; for
    the others, the whole sentence if they are bidirectional. A cloze's vector includes its own
    token, unlike the context from which the model predicts.

    `Embedder.load("runs/cloze").embed(["A fine film."])[0].vectors`
    """

    def embed(self, lines: Sequence[str]) -> list[Embedding]:
        """The vectors of each line, in order.

        Raises:
            UsageError: a string instead of a list of lines.
        """
        if isinstance(lines, str):
            raise UsageError("embed takes a list of lines: embed(['A fine film.'])")
        sentences = self._sentences.encode(lines)
        size = self.bundle.config.model.hidden_size
        vectors = [np.zeros((0, size), np.float32) for _ in lines]
        for batch in in_batches([sentence.ids for sentence in sentences]):
            states = required(self.engine.run("states", batch.ids, batch.lengths)[0])
            for row, index in enumerate(batch.rows):
                vectors[index] = states[row, : len(sentences[index].ids) - 1].copy()
        tokens = self.bundle.source_tokenizer.tokens
        return [
            Embedding(line, tokens(sentence.ids[:-1]), rows, sentence.cut)
            for line, sentence, rows in zip(lines, sentences, vectors, strict=True)
        ]
