"""What recurrence carries: the state of a cell stack, and the decoder's memory of the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class State:
    """The state of `L` recurrent layers; hides the difference between GRU and LSTM.

    Attributes:
        h: hidden states, (L, B, H).
        c: LSTM cells, (L, B, H); None for RNN and GRU.
    """

    h: Tensor
    c: Tensor | None = None

    @classmethod
    def of(cls, h: Tensor | None, c: Tensor | None) -> State | None:
        """The state of these parts; None of none."""
        return None if h is None else cls(h, c)

    @classmethod
    def stack(cls, layers: Sequence[State]) -> State:
        """Join the states of single layers, each (1, B, H) or more, along L."""
        cells = [layer.c for layer in layers if layer.c is not None]
        return cls(torch.cat([layer.h for layer in layers]), torch.cat(cells) if cells else None)

    def layer(self, index: int) -> State:
        """The state of one layer, still (1, B, H)."""
        part = slice(index, index + 1)
        return State(self.h[part], None if self.c is None else self.c[part])

    def first(self, rows: int) -> State:
        """The states of the first batch rows."""
        return State(self.h[:, :rows], None if self.c is None else self.c[:, :rows])

    def select(self, rows: Tensor) -> State:
        """The states of the given batch rows, in that order; `rows` is (N,) of indices."""
        return State(
            self.h.index_select(1, rows), None if self.c is None else self.c.index_select(1, rows)
        )

    def join(self, others: Sequence[State]) -> State:
        """Its batch rows, then those of the others."""
        cells = [state.c for state in (self, *others) if state.c is not None]
        return State(
            torch.cat([state.h for state in (self, *others)], 1),
            torch.cat(cells, 1) if cells else None,
        )

    def repeat(self, times: int) -> State:
        """Each batch row `times` times in a row: b0 b0 b1 b1 …"""
        return State(
            self.h.repeat_interleave(times, 1),
            None if self.c is None else self.c.repeat_interleave(times, 1),
        )

    def to(self, device: torch.device | str) -> State:
        """The same state on another device."""
        return State(self.h.to(device), None if self.c is None else self.c.to(device))

    def detach(self) -> State:
        """The same values, cut from the graph (truncated back-propagation through time)."""
        return State(self.h.detach(), None if self.c is None else self.c.detach())


@dataclass(frozen=True, slots=True)
class Memory:
    """What the decoder may look at: the encoded source.

    Attributes:
        values: (B, S, M) encoder outputs, zero at padding.
        keys: (B, S, A) projected once a sentence; None without attention.
        mask: (B, S) bool, True = a real token.
        context: (B, C) the encoder's final top state, the same at every step; used without
            attention.
    """

    values: Tensor
    keys: Tensor | None
    mask: Tensor
    context: Tensor

    def select(self, rows: Tensor) -> Memory:
        """The memories of the given batch rows, in that order."""
        return Memory(
            self.values.index_select(0, rows),
            None if self.keys is None else self.keys.index_select(0, rows),
            self.mask.index_select(0, rows),
            self.context.index_select(0, rows),
        )

    def repeat(self, times: int) -> Memory:
        """Each batch row `times` times in a row: b0 b0 b1 b1 …"""
        rows = torch.arange(self.mask.shape[0], device=self.mask.device).repeat_interleave(times)
        return self.select(rows)
