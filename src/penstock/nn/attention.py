"""Attention: dot, general, additive, multi-head; keys projected once a sentence.

All queries of a sentence are answered at once: `queries` (B, T, H) against `keys` (B, S, A).
Nothing of a call stays on the module.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from penstock.nn.products import rows_linear

AttentionKind = Literal["dot", "general", "additive", "multihead"]


class Attention(nn.Module):
    """Weights over the source and the context they give.

    Args:
        kind: `dot` (Luong et al. 2015; query and values of equal width, nothing learnt),
            `general` (Luong's bilinear form), `additive` (Bahdanau et al. 2015),
            `multihead` (Vaswani et al. 2017; its context is projected to the values' width).
        query_size: width H of the decoder's state.
        value_size: width M of the encoder's outputs.
        attention_size: width A of keys; for `general` keys have the query's width.
        heads: for `multihead`.
    """

    def __init__(
        self,
        kind: AttentionKind,
        *,
        query_size: int,
        value_size: int,
        attention_size: int,
        heads: int = 1,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.heads = heads if kind == "multihead" else 1
        key_size = {"dot": value_size, "general": query_size}.get(kind, attention_size)
        # recurrent states are small: only many heads want the scale of Vaswani et al.
        self.scale = 1 / math.sqrt(key_size / heads) if kind == "multihead" else 1.0
        nothing = nn.Identity()
        learnt_query = kind in ("additive", "multihead")
        self.project_keys = (
            nothing if kind == "dot" else nn.Linear(value_size, key_size, bias=False)
        )
        self.project_query = nn.Linear(query_size, attention_size) if learnt_query else nothing
        self.energy = nn.Linear(attention_size, 1, bias=False) if kind == "additive" else nothing
        multihead = kind == "multihead"
        self.project_values = nn.Linear(value_size, attention_size) if multihead else nothing
        self.project_context = nn.Linear(attention_size, value_size) if multihead else nothing

    def keys(self, values: Tensor) -> Tensor:
        """Project the encoder's outputs (B, S, M) to keys (B, S, A), once a sentence.

        For `multihead` the projected values stand behind the keys, (B, S, 2A).
        """
        if self.kind != "multihead":
            return _project(self.project_keys, values)
        both = [_project(self.project_keys, values), _project(self.project_values, values)]
        return torch.cat(both, -1)

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
        query = self._split(_project(self.project_query, queries))  # (B, heads, T, A/heads)
        if self.kind == "multihead":
            keys, values = keys.chunk(2, -1)
        key, value = self._split(keys), self._split(values)
        wide = torch.promote_types(values.dtype, torch.float32)
        scores = None
        if self.kind == "additive":
            energies = torch.tanh(query[:, :, :, None] + key[:, :, None])  # (B, 1, T, S, A)
            scores = _project(self.energy, energies).squeeze(-1).to(wide)
        # These products are small and their shapes differ from batch to batch: in float32 they
        # need no compiling (see `penstock.nn.products`), and weights over long sources stay exact.
        with torch.autocast(values.device.type, enabled=False):
            if scores is None:
                scores = (query.to(wide) * self.scale) @ key.to(wide).mT  # (B, heads, T, S)
            weights = torch.softmax(scores.masked_fill(~mask[:, None, None], -math.inf), -1)
            context = (weights @ value.to(wide)).transpose(1, 2).flatten(2)  # (B, T, ·)
        return _project(self.project_context, context.to(queries.dtype)), weights

    def _split(self, x: Tensor) -> Tensor:
        """(B, T, W) to (B, heads, T, W/heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def _project(layer: nn.Module, x: Tensor) -> Tensor:
    """A linear layer over (…, I), or nothing."""
    return rows_linear(x, layer.weight, layer.bias) if isinstance(layer, nn.Linear) else x
