"""Output layer and cross-entropy fused, without storing the logits.

With a vocabulary of thousands, the logits are the largest tensor of training. Here they are
computed a few hundred rows at a time, together with their gradient, and discarded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from penstock.nn.fixed_shapes import has_fixed_shapes
from penstock.nn.products import pad_rows

CHUNK_ROWS = 512  # measured: a chunk of logits stays in the processor's cache
DEVICE_ROWS = 16384  # of a GPU: few launches, 1 GB of logits at a vocabulary of 32,000


def cross_entropy_sum(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    *,
    label_smoothing: float = 0.0,
    real: Tensor | None = None,
) -> Tensor:
    """Summed cross-entropy of `softmax(features · weightᵀ + bias)`.

    Args:
        features: (N, R).
        weight: (V, R).
        bias: (V,).
        targets: (N,) ids.
        label_smoothing: mass ε spread evenly over the vocabulary (Szegedy et al. 2016).
        real: (N,) bool, the rows that count; default: all. On a GPU a mask beats a selection, whose
            shape the host must wait for.

    Returns:
        The sum over N in nats, a float32 scalar.
    """
    if not torch.is_grad_enabled():  # `needs_input_grad` ignores it
        features, weight, bias = features.detach(), weight.detach(), bias.detach()
    with torch.autocast(features.device.type, enabled=False):
        dtype = features.dtype
        return _LinearCrossEntropy.apply(  # pyright: ignore
            features, weight.to(dtype), bias.to(dtype), targets, label_smoothing, real
        )


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        smoothing: float,
        real: Tensor | None,
    ) -> Tensor:
        counts = features.new_ones(len(targets)) if real is None else real.to(features.dtype)
        counts = counts[:, None]
        if real is not None:
            features = features * counts
        total = torch.zeros((), device=features.device)
        if not any(ctx.needs_input_grad[:3]):
            for at in _chunks(len(targets), features):
                logits = torch.addmm(bias, pad_rows(features[at]), weight.t())
                y = targets[at][:, None]
                log_probs = torch.log_softmax(logits[: len(y)], -1, dtype=torch.float32)
                losses = (smoothing - 1) * log_probs.gather(1, y)
                if smoothing:
                    losses -= smoothing * log_probs.mean(1, keepdim=True)
                total += (losses * counts[at]).sum()
            return total
        d_features = torch.empty_like(features)
        d_weight = torch.zeros_like(weight)
        d_bias = torch.zeros_like(bias, dtype=torch.float32)
        share = smoothing / len(bias)  # of each token in a smoothed target
        mean_weight, mean_bias = weight.sum(0).float() / len(bias), bias.float().mean()
        for at in _chunks(len(targets), features):
            x, y = pad_rows(features[at]), targets[at]
            n = len(y)
            logits = torch.addmm(bias, x, weight.t())
            probs = logits.softmax(-1)  # (n, V), in the logits' own type
            # 1 - p of the target as the sum of the others, so that a p near 1 loses no digits
            at_y = (torch.arange(n, device=y.device), y)
            chosen, p = logits[at_y].float(), probs[at_y].float()
            probs.index_put_(at_y, probs.new_zeros(()))
            others = probs[:n].sum(-1).float()
            losses = torch.log1p(others / p.clamp_min(torch.finfo(torch.float32).tiny))
            x_sum, count = x.sum(0), counts[at, 0]
            if smoothing:
                losses += smoothing * (chosen - mean_bias)
                total -= smoothing * (x_sum.float() @ mean_weight)
            total += (losses * count).sum()
            # the gradient: probabilities - target, whose uniform part needs no pass over (n, V)
            probs.index_put_(at_y, (smoothing - others).to(probs.dtype))
            d_bias += probs[:n].sum(0) if real is None else count @ probs[:n]
            d_features[at] = torch.mm(probs, weight)[:n]
            d_weight.addmm_(probs.t(), x)
            if smoothing:
                d_weight -= share * x_sum
        if smoothing:
            d_features -= (smoothing * mean_weight).to(features.dtype)
            d_bias -= share * counts.sum(dtype=torch.float32)
        if real is not None:
            d_features *= counts
        ctx.save_for_backward(d_features, d_weight, d_bias.to(bias.dtype))
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_total: Tensor):  # type: ignore[override]
        d_features, d_weight, d_bias = ctx.saved_tensors
        scale = d_total.to(d_features.dtype)
        return d_features * scale, d_weight * scale, d_bias * scale, None, None, None


def _chunks(count: int, features: Tensor) -> Iterator[slice]:
    rows = DEVICE_ROWS if has_fixed_shapes(features) else CHUNK_ROWS
    return (slice(start, start + rows) for start in range(0, count, rows))
