"""Token embeddings, small as they stand or scaled to unit variance on the way in."""

from __future__ import annotations

import math

from torch import Tensor, nn


class TokenEmbedding(nn.Embedding):
    """A table of vectors whose table can serve as the output layer too.

    Args:
        tokens: vocabulary size V.
        size: width E.
        scaled: begin with N(0, 1/E) and multiply by √E on the way in (Vaswani et al. 2017,
            section 3.4): inputs of unit variance, a table of the scale that an output layer
            wants. States then differ from word to word from the start, and attention has
            something to hold on to. It is not better everywhere: docs/benchmarks.md compares.
    """

    def __init__(self, tokens: int, size: int, *, scaled: bool = False) -> None:
        super().__init__(tokens, size)
        self.scaled = scaled
        self.factor = math.sqrt(size) if scaled else 1.0

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch names it so
        """Ids (B, T) to vectors (B, T, E)."""
        x = super().forward(input)
        return x * self.factor if self.scaled else x

    def initialize_scaled(self) -> None:
        """N(0, 1/E): unit variance after scaling."""
        nn.init.normal_(self.weight, std=1 / self.factor)
