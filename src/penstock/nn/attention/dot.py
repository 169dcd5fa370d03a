"""Dot attention (Luong et al. 2015, https://arxiv.org/abs/1508.04025): nothing is learned."""

from __future__ import annotations

from penstock.nn.attention.attention import Attention, AttentionSizes


class DotAttention(Attention):
    """score = query · value; both have one width."""

    is_product = True

    def __init__(self, _: AttentionSizes) -> None:
        super().__init__()


ATTENTION = DotAttention
