"""Non-linearities of hand-written kernels."""

from __future__ import annotations

import torch
from torch import Tensor

sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
tanh_backward = torch.ops.aten.tanh_backward.grad_input


def tanh_(x: Tensor) -> Tensor:
    """In-place tanh by the logistic function, several times as fast as torch's on a CPU."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)
