"""Output layer and cross-entropy fused, without storing the logits.

With a vocabulary of thousands, the logits are the largest tensor of training. Here they are
computed a few hundred rows at a time, together with their gradient, and discarded.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from penstock.nn.products import pad_rows

CHUNK_ROWS = 512  # measured: a chunk of logits stays in the processor's cache


def cross_entropy_sum(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    *,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Summed cross-entropy of `softmax(features · weightᵀ + bias)`.

    Args:
        features: (N, R) for real tokens only.
        weight: (V, R).
        bias: (V,).
        targets: (N,) ids.
        label_smoothing: mass ε spread evenly over the vocabulary (Szegedy et al. 2016).

    Returns:
        The sum over N in nats, a float32 scalar.
    """
    if not torch.is_grad_enabled():  # `needs_input_grad` ignores it
        features, weight, bias = features.detach(), weight.detach(), bias.detach()
    with torch.autocast(features.device.type, enabled=False):
        dtype = features.dtype
        return _LinearCrossEntropy.apply(  # pyright: ignore
            features, weight.to(dtype), bias.to(dtype), targets, label_smoothing
        )


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float
    ) -> Tensor:
        total = torch.zeros((), device=features.device)
        needs_grad = any(ctx.needs_input_grad[:3])
        d_features = torch.empty_like(features)
        d_weight = torch.zeros_like(weight)
        d_bias = torch.zeros_like(bias, dtype=torch.float32)
        for start in range(0, len(targets), CHUNK_ROWS):
            at = slice(start, start + CHUNK_ROWS)
            x, y = pad_rows(features[at]), targets[at][:, None]
            logits = torch.addmm(bias, x, weight.t())
            log_probs = torch.log_softmax(logits[: len(y)], -1, dtype=torch.float32)
            total -= (1 - smoothing) * log_probs.gather(1, y).sum()
            if smoothing:
                total -= smoothing * log_probs.sum() / log_probs.shape[1]
            if needs_grad:
                d_logits = log_probs.exp_()  # softmax - smoothed target
                if smoothing:
                    d_logits.sub_(smoothing / d_logits.shape[1])
                d_logits.scatter_add_(1, y, torch.full_like(y, smoothing - 1, dtype=torch.float32))
                d_bias += d_logits.sum(0)
                d_logits = pad_rows(d_logits.to(x.dtype))
                d_features[at] = torch.mm(d_logits, weight)[: len(y)]
                d_weight.addmm_(d_logits.t(), x)
        ctx.save_for_backward(d_features, d_weight, d_bias.to(bias.dtype))
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_total: Tensor):  # type: ignore[override]
        d_features, d_weight, d_bias = ctx.saved_tensors
        scale = d_total.to(d_features.dtype)
        return d_features * scale, d_weight * scale, d_bias * scale, None, None
