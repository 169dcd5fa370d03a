"""Rows of ids of unequal length: padding into arrays, and batching by length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from penstock.special_tokens import PAD_ID

Rows = Sequence[np.ndarray] | Sequence[list[int]]


def padded_ids(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pad rows of ids to (B, S); return them with their lengths (B,)."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    padded = np.full((len(rows), int(lengths.max())), PAD_ID, dtype=np.int64)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded, lengths


def cut_by_tokens(order: np.ndarray, lengths: np.ndarray, budget: int) -> list[np.ndarray]:
    """Divide rows, sorted by length, into batches with rows x longest ≤ budget (at least one row).

    Batches of more than 8 rows have a multiple of 8: few distinct shapes are faster (see
    `penstock.nn.products`).
    """
    batches: list[np.ndarray] = []
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (end - start + 1) * int(lengths[end]) <= budget:
            end += 1
        if end < len(order) and end - start > 8:
            end -= (end - start) % 8
        batches.append(order[start:end])
        start = end
    return batches
