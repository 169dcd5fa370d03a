"""Steps over packed positions, for hand-written kernels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from penstock.nn.cells.cell_spec import Slices


class PackedSteps:
    """The steps of `PackedSequence` rows, in either direction.

    Rows are sorted by length. Forward in time they end one after another; backward they begin so.

    Args:
        slices: (first packed position, rows alive) of each step, in the order of the steps.
        positions: of the packed tensors, padding after the last step included.
    """

    def __init__(self, slices: Slices, positions: int) -> None:
        self.rows = [n for _, n in slices]
        self.count = sum(self.rows)
        self._backward = slices[0][0] > 0
        in_time = self.rows[::-1] if self._backward else self.rows
        self._split = [*in_time, positions - self.count]

    def views(self, x: Tensor) -> Sequence[Tensor]:
        """Each step's rows of x (N, ·)."""
        views = x.split(self._split)[:-1]
        return views[::-1] if self._backward else views

    def before(self, step: int, states: Sequence[Tensor], initial: Tensor) -> Tensor:
        """The state before a step, from those after each step and the initial ones (B, H)."""
        n = self.rows[step]
        if step == 0:
            return initial[:n]
        last, known = states[step - 1], self.rows[step - 1]
        if n > known:
            return torch.cat([last, initial[known:n]])
        return last[:n] if n < known else last

    def join(self, states: Sequence[Tensor]) -> Tensor:
        """States per step to (N, H), zero at padding."""
        padding = states[0].new_zeros(self._split[-1], states[0].shape[1])
        return torch.cat([*(states[::-1] if self._backward else states), padding])

    def last(self, states: Sequence[Tensor]) -> Tensor:
        """Each row's state after its last step, (B, H)."""
        parts, known = [states[-1]], self.rows[-1]
        for step in range(len(self.rows) - 2, -1, -1):
            if self.rows[step] > known:
                parts.append(states[step][known:])
                known = self.rows[step]
        return torch.cat(parts)
