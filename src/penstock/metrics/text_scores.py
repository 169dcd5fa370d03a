"""Scores of text without references: probabilities and counts."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextScores:
    """The probability of a text under a model.

    Attributes:
        log_probability: of all tokens, line ends included, in nats.
        tokens: number of tokens.
        characters: number of characters, line ends included.
        right: tokens that were the model's first choice.
        unknown: tokens outside the vocabulary; each counts as one `<unk>`.
    """

    log_probability: float
    tokens: int
    characters: int
    right: int
    unknown: int

    @property
    def loss(self) -> float:
        """Mean negative log-probability per token, in nats."""
        return -self.log_probability / self.tokens

    @property
    def perplexity(self) -> float:
        """exp of the loss, averaged over tokens, never over batches."""
        return math.exp(min(self.loss, 700.0))

    @property
    def bits_per_character(self) -> float:
        """Unlike perplexity, comparable between tokenizers."""
        return -self.log_probability / self.characters / math.log(2)

    @property
    def accuracy(self) -> float:
        """Percentage of tokens that were the first choice."""
        return 100 * self.right / self.tokens
