"""Gates, candidates and states of a trace as plain numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penstock.config import cell_entry
from penstock.insight.inspection import Layer, Signal
from penstock.runtime.network_trace import LayerTrace
from penstock.search.step import Singles

_SIGNED = ("candidate", "cell", "hidden")  # can be negative: their mean would say little


def gates_of(
    layers: Sequence[LayerTrace],
    source_tokens: Sequence[str],
    read_tokens: Sequence[str],
    *,
    units: bool,
) -> list[Layer]:
    """All layers as plain numbers.

    Args:
        layers: of a trace.
        source_tokens: S tokens as they are shown.
        read_tokens: what the decoder reads, T tokens, the first of them BOS.
        units: give single units too.
    """
    return [
        Layer(
            side=own.side,
            layer=own.layer + 1,
            direction="backward" if own.reverse else "forward",
            cell=own.cell,
            size=next(iter(own.values.values())).shape[1],
            tokens=list(source_tokens if own.side == "encoder" else read_tokens),
            values={
                name: _signal(_on_scale(own.cell, name, x), name in _SIGNED, units=units)
                for name, x in own.values.items()
            },
        )
        for own in layers
    ]


def _on_scale(cell: str, name: str, values: Singles) -> Singles:
    """Values within -1 to 1: the tanh of those that may be larger."""
    unbounded = name == "cell" or (name in _SIGNED and not cell_entry(cell).bounded)
    return np.tanh(values) if unbounded else values


def _signal(values: Singles, signed: bool, *, units: bool) -> Signal:
    """Values (N, U) as plain numbers."""
    exact = values.astype(np.float64)
    mean = (np.abs(exact) if signed else exact).mean(1).round(6)
    return Signal(mean.tolist(), np.rint(exact * 100).astype(int).tolist() if units else None)
