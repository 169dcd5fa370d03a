"""An exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Moving averages of all parameters, evaluated and saved instead of the current weights.

    Args:
        model: its parameters initialize the average.
        decay: weight of the past per update; lower in the beginning, so that the average soon
            forgets the random initialization.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values: list[Tensor] = [p.detach().clone() for p in model.parameters()]

    @torch.no_grad()
    def update(self, model: nn.Module, number: int) -> None:
        """Update with the parameters after update `number` (from 1)."""
        decay = min(self.decay, number / (number + 10))
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
            self.values, list(model.parameters()), 1 - decay
        )

    @contextmanager
    def in_place(self, model: nn.Module) -> Generator[None]:
        """Swap the averages into the model; its own weights return at the end."""
        self._swap(model)
        try:
            yield
        finally:
            self._swap(model)

    def _swap(self, model: nn.Module) -> None:
        for i, parameter in enumerate(model.parameters()):
            self.values[i], parameter.data = parameter.data, self.values[i]
