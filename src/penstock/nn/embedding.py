"""Token embeddings, optionally scaled to unit variance."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from penstock.special_tokens import UNK_ID


class TokenEmbedding(nn.Embedding):
    """An embedding table that can be shared with the output layer.

    Args:
        tokens: vocabulary size V.
        size: width E.
        scaled: initialize with N(0, 1/E) and multiply inputs by √E (Vaswani et al. 2017, section
            3.4): inputs have unit variance, and the table the scale of an output layer. Not
            better everywhere: docs/benchmarks.md compares.
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
        """Initialize from vectors, which `forward` then returns for their ids.

        Other rows are drawn at the mean scale of the vectors; the unknown token is their mean.

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
