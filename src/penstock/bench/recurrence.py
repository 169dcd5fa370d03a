"""One recurrent layer, forward and backward: our kernels beside torch's."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from penstock.nn.recurrent import Recurrent


def measure_recurrence(
    cell: Literal["gru", "lstm"],
    input_size: int,
    hidden_size: int,
    batch: int,
    steps: int,
    *,
    rounds: int = 9,
) -> list[dict[str, Any]]:
    """Medians in milliseconds, both in turn, for fp32 and bf16, full and unequal lengths."""
    kinds = {"gru": nn.GRU, "lstm": nn.LSTM}
    rows = []
    for kind in (torch.float32, torch.bfloat16):
        ours = Recurrent(input_size, hidden_size, cell=cell).to(kind)
        theirs = kinds[cell](input_size, hidden_size, batch_first=True).to(kind)
        x = torch.randn(batch, steps, input_size, dtype=kind, requires_grad=True)
        unequal = torch.linspace(steps / 2, steps, batch).round().long()
        for name, lengths in (("full", None), ("unequal", unequal)):

            def run_ours(lengths: Any = lengths, ours: Any = ours, x: Any = x) -> None:
                ours(x, lengths)[0].sum().backward()

            def run_theirs(lengths: Any = lengths, theirs: Any = theirs, x: Any = x) -> None:
                if lengths is None:
                    theirs(x)[0].sum().backward()
                    return
                packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
                pad_packed_sequence(theirs(packed)[0], batch_first=True)[0].sum().backward()

            pairs = [(_seconds(run_ours), _seconds(run_theirs)) for _ in range(rounds + 1)][1:]
            rows.append(
                {
                    "precision": "fp32" if kind is torch.float32 else "bf16",
                    "lengths": name,
                    "penstock_ms": 1e3 * median(a for a, _ in pairs),
                    "torch_ms": 1e3 * median(b for _, b in pairs),
                    "ratio": median(a / b for a, b in pairs),
                }
            )
    return rows


def _seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
