"""Token embeddings of unit variance, whose table can serve as the output layer too."""

from __future__ import annotations

import math

from torch import Tensor, nn


class TokenEmbedding(nn.Embedding):
    """A table of N(0, 1/E) rows, multiplied by √E on the way in.

    The network then begins with inputs of unit variance: states differ from word to word, and
    attention has something to hold on to. With small inputs instead it takes many times as many
    updates to learn to align (docs/benchmarks.md has the ablation). The table itself has the
    scale that an output layer wants, so that both can be one (Vaswani et al. 2017, section 3.4).
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch names it so
        """Ids (B, T) to vectors (B, T, E)."""
        return super().forward(input) * math.sqrt(self.embedding_dim)

    def reset_parameters(self) -> None:
        """N(0, 1/E): unit variance after scaling."""
        nn.init.normal_(self.weight, std=self.embedding_dim**-0.5)
