"""Multi-head attention (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from penstock.nn.attention.attention import Attention, AttentionSizes, project


class MultiheadAttention(Attention):
    """Scaled products in several subspaces; the context is projected to the values' width."""

    def __init__(self, sizes: AttentionSizes) -> None:
        super().__init__()
        width = sizes.attention
        self.heads = sizes.heads
        # recurrent states are small: only many heads want the scale
        self.scale = 1 / math.sqrt(width / sizes.heads)
        self.project_keys = nn.Linear(sizes.value, width, bias=False)
        self.project_query = nn.Linear(sizes.query, width)
        self.project_values = nn.Linear(sizes.value, width)
        self.project_context = nn.Linear(width, sizes.value)

    def keys(self, values: Tensor) -> Tensor:
        """Keys, and behind them the projected values, (B, S, 2A)."""
        both = [project(self.project_keys, values), project(self.project_values, values)]
        return torch.cat(both, -1)

    def split_keys(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and projected values."""
        key, value = keys.chunk(2, -1)
        return key, value


ATTENTION = MultiheadAttention
