"""Additive attention (Bahdanau et al. 2015, https://arxiv.org/abs/1409.0473)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from penstock.nn.attention.attention import Attention, AttentionSizes, project


class AdditiveAttention(Attention):
    """score = v · tanh(query W_q + value W_k)."""

    def __init__(self, sizes: AttentionSizes) -> None:
        super().__init__()
        self.project_keys = nn.Linear(sizes.value, sizes.attention, bias=False)
        self.project_query = nn.Linear(sizes.query, sizes.attention)
        self.energy = nn.Linear(sizes.attention, 1, bias=False)

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """The energy of each pair."""
        pairs = torch.tanh(query[:, :, :, None] + key[:, :, None])  # (B, 1, T, S, A)
        return project(self.energy, pairs).squeeze(-1)


ATTENTION = AdditiveAttention
