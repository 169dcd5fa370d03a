"""One recurrent layer, forward and backward: our kernels compared with torch's."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from penstock.config import CELLS
from penstock.errors import UsageError, unknown_name
from penstock.nn.cells import cell_spec
from penstock.nn.recurrent import Recurrent


def measure_recurrence(
    cell: str,
    input_size: int,
    hidden_size: int,
    batch: int,
    steps: int,
    *,
    rounds: int = 9,
) -> list[dict[str, Any]]:
    """Median times of alternating runs, for fp32 and bf16, equal and unequal lengths.

    Raises:
        UsageError: an unknown cell, or one that torch does not have.
    """
    if cell not in CELLS:
        raise UsageError(unknown_name("cell", cell, CELLS))
    kernel = cell_spec(cell).kernel
    if kernel is None:
        raise UsageError(f"cell {cell!r}: torch has no such module to compare with")
    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        ours = Recurrent(input_size, hidden_size, cell=cell).to(dtype)
        theirs = kernel.module(input_size, hidden_size, batch_first=True).to(dtype)
        x = torch.randn(batch, steps, input_size, dtype=dtype, requires_grad=True)
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
                    "precision": "fp32" if dtype is torch.float32 else "bf16",
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
