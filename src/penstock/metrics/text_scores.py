"""How well a model does on text without references: probabilities and counts, as plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextScores:
    """How probable a text is.

    Attributes:
        log_probability: of all its tokens, line ends included, in nats.
        tokens: how many they are.
        characters: of the text, line ends included.
        right: tokens that were the model's first choice.
        unknown: tokens that the vocabulary lacks; each counts as one `<unk>`.
    """

    log_probability: float
    tokens: int
    characters: int
    right: int
    unknown: int

    @property
    def loss(self) -> float:
        """Mean negative log-probability a token, in nats."""
        return -self.log_probability / self.tokens

    @property
    def perplexity(self) -> float:
        """exp of that mean: over tokens, never over batches."""
        return math.exp(min(self.loss, 700.0))

    @property
    def bits_per_character(self) -> float:
        """Comparable between tokenizers, as perplexity is not."""
        return -self.log_probability / self.characters / math.log(2)

    @property
    def accuracy(self) -> float:
        """Percentage of tokens that were the first choice."""
        return 100 * self.right / self.tokens
