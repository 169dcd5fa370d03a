"""The state of a recurrent stack, and the decoder's memory of the source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        """A state from its tensors; None if there is none."""
        return None if h is None else cls(h, c)

    @classmethod
    def stack(cls, layers: Sequence[State]) -> State:
        """Join the states of single layers, each (1, B, H) or more, along L."""
        cells = [layer.c for layer in layers if layer.c is not None]
        return cls(torch.cat([layer.h for layer in layers]), torch.cat(cells) if cells else None)

    def map(self, function: Callable[[Tensor], Tensor]) -> State:
        """Apply a function to h and to c, if there is one."""
        return State(function(self.h), None if self.c is None else function(self.c))

    def layer(self, index: int) -> State:
        """The state of one layer, still (1, B, H)."""
        return self.map(lambda x: x[index : index + 1])

    def first(self, rows: int) -> State:
        """The states of the first batch rows."""
        return self.map(lambda x: x[:, :rows])

    def select(self, rows: Tensor) -> State:
        """The states of the batch rows with indices `rows` (N,), in that order."""
        return self.map(lambda x: x.index_select(1, rows))

    def join(self, others: Sequence[State]) -> State:
        """Concatenate along the batch: own rows, then those of the others."""
        cells = [state.c for state in (self, *others) if state.c is not None]
        return State(
            torch.cat([state.h for state in (self, *others)], 1),
            torch.cat(cells, 1) if cells else None,
        )

    def repeat(self, times: int) -> State:
        """Each batch row `times` times in a row: b0 b0 b1 b1 …"""
        return self.map(lambda x: x.repeat_interleave(times, 1))

    def to(self, device: torch.device | str) -> State:
        """The same state on another device."""
        return self.map(lambda x: x.to(device))

    def detach(self) -> State:
        """The same values, detached from the graph (truncated back-propagation through time)."""
        return self.map(Tensor.detach)


@dataclass(frozen=True, slots=True)
class Memory:
    """The encoded source, as the decoder sees it.

    Attributes:
        values: (B, S, M) encoder outputs, zero at padding.
        keys: (B, S, A) projected once per sentence; None without attention.
        mask: (B, S) bool, True = a real token.
        context: (B, C) the encoder's final top state, the same at every step; used without
            attention.
    """

    values: Tensor
    keys: Tensor | None
    mask: Tensor
    context: Tensor

    def select(self, rows: Tensor) -> Memory:
        """The memories of the batch rows with indices `rows`, in that order."""
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
