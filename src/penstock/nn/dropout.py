"""Dropout, ordinary and variational."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from penstock.special_tokens import RESERVED, UNK_ID


class Dropout(nn.Module):
    """Drop values in training with probability `p`, scaling the rest by 1/(1-p).

    Args:
        p: probability of dropping.
        variational: one mask per sequence, the same at every position (Gal and Ghahramani 2016);
            also cheaper on a CPU.
    """

    def __init__(self, p: float, *, variational: bool = False) -> None:
        super().__init__()
        self.p = p
        self.variational = variational

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, ·), same shape out."""
        if not self.training or self.p == 0:
            return x
        if not self.variational:
            return dropout(x, self.p)
        mask = torch.rand(x.shape[0], 1, x.shape[2], device=x.device).ge_(self.p)
        return x * mask.mul_(1 / (1 - self.p)).to(x.dtype)


class TokenDropout(nn.Module):
    """Replace tokens by `<unk>` in training, so that a model relies on no single one.

    Reserved ids are kept (after Xie et al. 2017, https://arxiv.org/abs/1703.02573).

    Args:
        p: probability of replacing a token.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, ids: Tensor) -> Tensor:
        """ids: (B, T), same shape out."""
        if not self.training or self.p == 0:
            return ids
        replaced = torch.rand(ids.shape, device=ids.device) < self.p
        return ids.masked_fill(replaced & (ids >= len(RESERVED)), UNK_ID)
