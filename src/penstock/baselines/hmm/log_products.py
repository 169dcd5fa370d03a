"""Matrix products in log space: at the speed of `mm`, exact where it underflows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

INF = float("inf")


class LogProduct:
    """log(exp(x) · exp(log_matrix)) for (B, K) and (K, J), without making (B, K, J).

    Each row of x is shifted to a maximum of zero. A term that is too small for a float is then lost
    beside one near 1, as it should be; but where all terms of a sum are that small, the sum has no
    precision left. Those sums, few or none, are recomputed from the logarithms; at worst all of
    them, at the cost of (B, K, J).
    """

    def __init__(self, log_matrix: Tensor) -> None:
        self.log_matrix = log_matrix
        self.matrix = log_matrix.detach().exp()
        limits = torch.finfo(log_matrix.dtype)
        self.lowest = limits.min  # instead of a maximum of -inf: x - top is then no NaN
        # a term errs by at most 3 tiny through underflow; from here on that is below rounding
        self.least = 4 * len(log_matrix) * limits.tiny / limits.eps
        # one term of each sum has a factor of 1: no sum is below the least entry
        self.may_lose = bool(self.matrix.min() < self.least)
        self.possible = (log_matrix.detach() > -INF).to(log_matrix.dtype)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, J) and the shift (B, 1) to be added to it; the shift carries no derivative."""
        return _Function.apply(x, self.log_matrix, self)  # pyright: ignore

    def multiply(self, x: Tensor, y: Tensor, top: Tensor) -> None:
        """Write the value into `y` and the shift into `top`, without derivatives."""
        torch.amax(x, 1, keepdim=True, out=top).clamp_(min=self.lowest)
        sums = torch.mm((x - top).exp_(), self.matrix)
        torch.log(sums, out=y)
        if self.may_lose and sums.amin(1).min() < self.least:
            reached = torch.mm((x > -INF).to(x.dtype), self.possible) > 0
            rows, columns = _lines((sums < self.least) & reached)
            terms = (x - top)[rows, :, None] + self.log_matrix[:, columns]  # (R, K, C)
            y[rows[:, None], columns] = terms.logsumexp(1)

    def differentiate(
        self, x: Tensor, y: Tensor, top: Tensor, d_y: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The derivatives by x and by log_matrix: each term's share of its sum, times d_y."""
        sums, terms = y.exp(), (x - top).exp()
        ratio = torch.where(sums < self.least, 0.0, d_y / sums)
        rows, columns = _lines((sums < self.least) & (y > -INF))
        ratio[rows[:, None], columns] = 0.0
        d_x = terms * torch.mm(ratio, self.matrix.t())
        d_matrix = self.matrix * torch.mm(terms.t(), ratio)
        if len(rows):
            part = rows[:, None], columns
            terms = (x - top)[rows, :, None] + self.log_matrix[:, columns]  # (R, K, C)
            empty = (y[part] == -INF)[:, None, :]
            shares = terms.masked_fill(empty, 0.0).softmax(1).masked_fill(empty, 0.0)
            shares *= d_y[part][:, None, :]
            d_x.index_add_(0, rows, shares.sum(2))
            d_matrix.index_add_(1, columns, shares.sum(0))
        return d_x, d_matrix


def _lines(lost: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns with a lost sum; every sum where they cross is recomputed."""
    return lost.any(1).nonzero().squeeze(1), lost.any(0).nonzero().squeeze(1)


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, x: Tensor, log_matrix: Tensor, product: LogProduct
    ) -> tuple[Tensor, Tensor]:
        y, top = x.new_empty(len(x), log_matrix.shape[1]), x.new_empty(len(x), 1)
        product.multiply(x, y, top)
        ctx.product = product
        ctx.save_for_backward(x, y, top)
        ctx.mark_non_differentiable(top)
        return y, top

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_y: Tensor, d_top: Tensor):  # type: ignore[override]
        x, y, top = ctx.saved_tensors
        return *ctx.product.differentiate(x, y, top, d_y), None
