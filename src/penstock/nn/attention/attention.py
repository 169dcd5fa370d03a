"""The base of all attentions: scores, a softmax over real tokens, and the context.

All queries of a sentence are computed at once: `queries` (B, T, H) against `keys` (B, S, A).
The module stores nothing about a call.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from penstock.nn.products import rows_linear


class AttentionSizes(NamedTuple):
    """Widths that an attention connects.

    Attributes:
        query: H of the decoder's state.
        value: M of the encoder's outputs.
        attention: A of keys, where it is free.
        heads: number of heads that divide A, if the attention has heads.
    """

    query: int
    value: int
    attention: int
    heads: int = 1


class Attention(nn.Module):
    """Weights over the source and the context they give; abstract.

    A subclass sets the projections that it learns, and overrides `keys` or `scores` unless scores
    are products of queries and keys.

    Attributes:
        heads: each has its own weights.
        scale: factor on the queries before the product.
        is_product: queries and values are not projected and scores are products, so that inference
            takes three operations.
    """

    heads = 1
    scale = 1.0
    is_product = False

    def __init__(self) -> None:
        super().__init__()
        # weights are initialized in this order
        self.project_keys: nn.Module = nn.Identity()
        self.project_query: nn.Module = nn.Identity()
        self.energy: nn.Module = nn.Identity()
        self.project_values: nn.Module = nn.Identity()
        self.project_context: nn.Module = nn.Identity()

    def keys(self, values: Tensor) -> Tensor:
        """Project the encoder's outputs (B, S, M) to keys (B, S, A), once per sentence."""
        return project(self.project_keys, values)

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """Scores (B, heads, T, S) of query (B, heads, T, ·) and key (B, heads, S, ·)."""
        wide = torch.promote_types(key.dtype, torch.float32)
        # These products are small and their shapes differ from batch to batch: in float32 they
        # need no compiling (see `penstock.nn.products`), and weights over long sources stay exact.
        with torch.autocast(key.device.type, enabled=False):
            return (query.to(wide) * self.scale) @ key.to(wide).mT

    def split_keys(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """The keys to compare with queries, and the values to average."""
        return keys, values

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            queries: (B, T, H).
            keys: (B, S, A) from `keys`.
            values: (B, S, M).
            mask: (B, S), True = a real token.

        Returns:
            Context (B, T, M) and weights (B, heads, T, S), each row summing to one over real
            tokens and exactly zero elsewhere.
        """
        query = self._split(project(self.project_query, queries))  # (B, heads, T, A/heads)
        key, value = (self._split(x) for x in self.split_keys(keys, values))
        wide = torch.promote_types(value.dtype, torch.float32)
        scores = self.scores(query, key).to(wide)
        with torch.autocast(value.device.type, enabled=False):
            weights = torch.softmax(scores.masked_fill(~mask[:, None, None], -math.inf), -1)
            context = (weights @ value.to(wide)).transpose(1, 2).flatten(2)  # (B, T, ·)
        return project(self.project_context, context.to(queries.dtype)), weights

    def _split(self, x: Tensor) -> Tensor:
        """(B, T, W) to (B, heads, T, W/heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def project(layer: nn.Module, x: Tensor) -> Tensor:
    """A linear layer over (…, I), or nothing."""
    return rows_linear(x, layer.weight, layer.bias) if isinstance(layer, nn.Linear) else x
