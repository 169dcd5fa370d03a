"""General attention, Luong's bilinear form (Luong et al. 2015, https://arxiv.org/abs/1508.04025)."""

from __future__ import annotations

from torch import nn

from penstock.nn.attention.attention import Attention, AttentionSizes


class GeneralAttention(Attention):
    """score = query · (value W); keys have the query's width."""

    is_product = True

    def __init__(self, sizes: AttentionSizes) -> None:
        super().__init__()
        self.project_keys = nn.Linear(sizes.value, sizes.query, bias=False)


ATTENTION = GeneralAttention
