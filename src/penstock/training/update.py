"""What follows the gradients of an update: their mean, clipping, the optimizer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from penstock.config import TrainingConfig


class Update:
    """An optimizer that takes sums of gradients.

    The division by the number of tokens and the clipping happen inside the optimizer's kernel, so
    gradients are read twice, for their norm and for the step, and nothing makes the host wait.

    Args:
        model: its parameters are trained.
        settings: optimizer, rate, decay and clipping.
    """

    def __init__(self, model: nn.Module, settings: TrainingConfig) -> None:
        self.parameters = list(model.parameters())
        self.clip_norm = settings.clip_norm
        self.optimizer = _optimizer(self.parameters, settings)

    def step(self, tokens: int, learning_rate: float) -> Tensor:
        """Step by the mean over `tokens` of the gradients summed so far, and clear them.

        Returns:
            The norm of the mean gradient before clipping, a scalar on the device.
        """
        for group in self.optimizer.param_groups:
            group.update(lr=learning_rate, fused=True)  # an old checkpoint may say otherwise
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients) / tokens
        # as for AMP's scaler: fused kernels divide by it; 1e-6 as in `clip_grad_norm_`
        scale = tokens * ((norm + 1e-6) / self.clip_norm).clamp(min=1)
        self.optimizer.grad_scale = scale.float()  # pyright: ignore[reportAttributeAccessIssue]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm


def _optimizer(parameters: list[nn.Parameter], settings: TrainingConfig) -> torch.optim.Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate, weight_decay=decay, fused=True)
    adam = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    betas = (0.9, settings.beta2)
    return adam(parameters, lr=rate, betas=betas, weight_decay=decay, fused=True)
