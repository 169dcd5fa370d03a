"""Windows of a token stream: sequential with carried state, or random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from penstock.errors import DataError
from penstock.training.processes import WHOLE, Share


@dataclass(frozen=True, slots=True)
class Window:
    """A window of the stream in each row, and the same window shifted by one token.

    Attributes:
        inputs: (B, T) ids.
        targets: (B, T), `targets[:, t]` follows `inputs[:, t]` in the text.
        resets_state: whether it starts from a zero state, not from the last window's state.
    """

    inputs: Tensor
    targets: Tensor
    resets_state: bool

    def to(self, device: torch.device | str) -> Window:
        """The same window on another device."""
        return Window(self.inputs.to(device), self.targets.to(device), self.resets_state)

    @property
    def rows(self) -> int:
        """B."""
        return len(self.inputs)

    @property
    def description(self) -> str:
        """Its shape, for messages."""
        return f"{self.rows} × {self.inputs.shape[1]} tokens"

    def part(self, start: int, stop: int) -> Window:
        """Some of the rows."""
        return Window(self.inputs[start:stop], self.targets[start:stop], self.resets_state)

    def rounded(self) -> Window:
        """The same: all windows but an epoch's last have one shape."""
        return self

    @property
    def key(self) -> tuple[object, ...]:
        """Its shape, and whether the state before is read."""
        return self.inputs.shape, self.resets_state

    def tensors(self) -> list[Tensor]:
        """What a device needs of it."""
        return [self.inputs, self.targets]

    def with_tensors(self, tensors: Sequence[Tensor]) -> Window:
        """The same with other `tensors`."""
        inputs, targets = tensors
        return Window(inputs, targets, self.resets_state)


class WindowSampler:
    """The windows of an epoch; they depend on seed and epoch alone, so runs can resume.

    Each epoch starts at a random offset below one window, so that windows differ between epochs
    (the chapter, 'Partitioning Sequences').

    Args:
        ids: (N,) the stream.
        window: T, the length of truncated backpropagation; the last window may be shorter.
        rows: B; fewer if the stream is too short.
        sampling: `sequential`: each row continues where it stopped, so that the state can be
            carried; the stream is divided into B equal parts. `random`: windows in shuffled
            order, each from a zero state.
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
        self.possible = possible
        self.sampling = sampling
        self.seed = seed

    def own_rows(self, share: Share) -> int:
        """Rows of one process; fewer if the stream is too short for those of all."""
        return min(self.rows, max(self.possible // share.count, 1))

    def epoch(self, number: int, *, skip: int = 0, share: Share = WHOLE) -> Iterator[Window]:
        """The windows of epoch `number` (from 0) without the first `skip`; of them, a share.

        Several processes divide the rows of `sequential` windows, so that each carries its own.
        """
        random = np.random.default_rng([self.seed, number])
        pairs = len(self.ids) - 1  # of a token and the one that follows
        rows = self.own_rows(share)
        all_rows = rows * share.count
        offset = int(random.integers(max(min(self.window, pairs - self.window * all_rows + 1), 1)))
        if self.sampling == "random":
            starts = np.arange(offset, pairs - self.window + 1, self.window)
            random.shuffle(starts)
            firsts = range(skip * rows, len(starts), rows)
            for own in share.select((starts[i : i + rows] for i in firsts), len):
                yield self._window(own, self.window, resets_state=True)
            return
        length = (pairs - offset) // all_rows
        starts = offset + length * np.arange(share.rank * rows, (share.rank + 1) * rows)
        for first in range(skip // share.count * self.window, length, self.window):
            width = min(self.window, length - first)
            yield self._window(starts + first, width, resets_state=first == 0)

    def _window(self, starts: np.ndarray, width: int, *, resets_state: bool) -> Window:
        positions = starts[:, None] + np.arange(width + 1)  # (B, T + 1)
        both = torch.from_numpy(self.ids[positions].astype(np.int64))
        return Window(both[:, :-1], both[:, 1:], resets_state)
