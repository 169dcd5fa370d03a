"""What a translation model computes for a given output, position by position, as numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from penstock.search.step import Singles

Side = Literal["encoder", "decoder"]


@dataclass(frozen=True, slots=True)
class LayerTrace:
    """A recurrent layer in one direction over N tokens, in the order of the text.

    Attributes:
        side: where it stands.
        layer: from 0, the lowest.
        reverse: it reads from the last token to the first.
        cell: its name in `model.cell`.
        values: by the names of `Cell.trace`, (N, U).
    """

    side: Side
    layer: int
    reverse: bool
    cell: str
    values: Mapping[str, Singles]


@dataclass(frozen=True, slots=True)
class NetworkTrace:
    """A source and an output of T tokens, EOS last, under teacher forcing.

    Attributes:
        log_probs: (T, V).
        attention: (H, T, S), a matrix per head, or from graphs one, their mean; None without
            attention.
        layers: each layer and direction, the encoder's first; of graphs exported before they had
            traces, the states of the decoder's layers.
    """

    log_probs: Singles
    attention: Singles | None
    layers: Sequence[LayerTrace]
