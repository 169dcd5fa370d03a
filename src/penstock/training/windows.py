"""Windows of a token stream: in order with the state carried, or at random."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from penstock.errors import DataError


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of the stream in each row, and the same piece one token on.

    Attributes:
        inputs: (B, T) ids.
        targets: (B, T), `targets[:, t]` follows `inputs[:, t]` in the text.
        begins: whether the state before it is zero; else it is the one after the last window.
    """

    inputs: Tensor
    targets: Tensor
    begins: bool

    def to(self, device: torch.device | str) -> Window:
        """The same window on another device."""
        return Window(self.inputs.to(device), self.targets.to(device), self.begins)


class WindowSampler:
    """All windows of an epoch, by seed and epoch alone, so that any can be had again.

    Each epoch begins at a random offset below one window, so that windows are cut elsewhere each
    time (the chapter, 'Partitioning Sequences').

    Args:
        ids: (N,) the stream.
        window: T, tokens that the gradient flows back; the last window of an epoch may be shorter.
        rows: B; fewer when the stream is too short for so many.
        sampling: `sequential`: each row goes on where it stopped, so that the state may be
            carried; the stream is read in B equal parts side by side. `random`: windows in
            shuffled order, each from a zero state.
        seed: of offsets and order.

    Raises:
        DataError: the stream is shorter than one window.
    """

    def __init__(
        self,
        ids: np.ndarray,
        *,
        window: int,
        rows: int,
        sampling: Literal["sequential", "random"] = "sequential",
        seed: int = 1,
    ) -> None:
        possible = (len(ids) - 1) // window
        if possible < 1:
            raise DataError(
                f"the text has {len(ids) - 1:,} tokens, fewer than one window of {window}; give "
                "more text or lower training.window"
            )
        self.ids = ids
        self.window = window
        self.rows = min(rows, possible)
        self.sampling = sampling
        self.seed = seed

    def epoch(self, number: int, *, skip: int = 0) -> Iterator[Window]:
        """The windows of epoch `number` (from 0), without the first `skip`."""
        random = np.random.default_rng([self.seed, number])
        pairs = len(self.ids) - 1  # of a token and the one that follows
        offset = int(random.integers(min(self.window, pairs - self.window * self.rows + 1)))
        if self.sampling == "random":
            starts = np.arange(offset, pairs - self.window + 1, self.window)
            random.shuffle(starts)
            for first in range(skip * self.rows, len(starts), self.rows):
                yield self._window(starts[first : first + self.rows], self.window, begins=True)
            return
        length = (pairs - offset) // self.rows
        starts = offset + length * np.arange(self.rows)
        for first in range(skip * self.window, length, self.window):
            width = min(self.window, length - first)
            yield self._window(starts + first, width, begins=first == 0)

    def _window(self, starts: np.ndarray, width: int, *, begins: bool) -> Window:
        places = starts[:, None] + np.arange(width + 1)  # (B, T + 1)
        both = torch.from_numpy(self.ids[places].astype(np.int64))
        return Window(both[:, :-1], both[:, 1:], begins)
