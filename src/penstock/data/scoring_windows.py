"""Windows that score every token of a stream once, long streams in parallel rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ScoredWindow:
    """A window in which some predictions are scored.

    Attributes:
        inputs: (B, T) ids.
        targets: (B, T) the ids that follow.
        resets_state: whether it starts from a zero state, not from the last window's state.
        positions: (B, T) position in the stream that each prediction scores, -1 if none.
    """

    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]
    resets_state: bool
    positions: NDArray[np.int64]


def scoring_windows(
    ids: np.ndarray, *, window: int = 256, max_rows: int = 64, part: int = 4096
) -> Iterator[ScoredWindow]:
    """Windows that score each token of the stream but the first exactly once, in order of rows.

    A short text is one row whose state is carried throughout. A long one is divided into parallel
    rows, each preceded by `window` tokens of context for its first predictions.

    Args:
        ids: (N,) the stream.
        window: tokens per window.
        max_rows: maximum number of parallel rows.
        part: minimum tokens per row; below, rereading the context does not pay.
    """
    pairs = len(ids) - 1  # of a token and the one that follows
    rows = max(1, min(max_rows, pairs // part))
    context = 0 if rows == 1 else window
    length = -(-(pairs - context) // rows)  # what a row scores; the first row its context too
    starts = length * np.arange(rows)[:, None]
    for first in range(0, context + length, window):
        read = np.arange(first, min(first + window, context + length))
        positions = starts + read
        scored = (positions < pairs) & ((starts == 0) | (read >= context))
        safe = np.minimum(positions, pairs - 1)
        inputs, targets = ids[safe].astype(np.int64), ids[safe + 1].astype(np.int64)
        yield ScoredWindow(inputs, targets, first == 0, np.where(scored, safe + 1, -1))
