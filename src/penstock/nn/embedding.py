"""Token embeddings, small as they stand or scaled to unit variance on the way in."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from penstock.special_tokens import UNK_ID


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

    @torch.no_grad()
    def set_vectors(self, index: Tensor, vectors: Tensor) -> None:
        """Begin with given vectors: they are what `forward` gives for their ids.

        All other rows are drawn with the mean size of the given ones, which a table of `uniform`
        is far from; the unknown token begins as their mean.

        Args:
            index: (F,) ids.
            vectors: (F, E).
        """
        spread = vectors.square().mean().sqrt()
        table = torch.randn(self.weight.shape) * spread
        table[UNK_ID] = vectors.mean(0)
        table[index] = vectors
        self.weight.copy_(table / self.factor)

    def initialize_scaled(self) -> None:
        """N(0, 1/E): unit variance after scaling."""
        nn.init.normal_(self.weight, std=1 / self.factor)
