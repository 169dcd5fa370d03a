"""Windows that score every token of a stream once, a long stream in parts side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ScoredWindow:
    """A window in which a part of the predictions counts.

    Attributes:
        inputs: (B, T) ids.
        targets: (B, T) the ids that follow.
        begins: whether the state before it is zero; else it is the one after the last window.
        places: (B, T) position in the stream that each prediction scores, -1 where none.
    """

    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]
    begins: bool
    places: NDArray[np.int64]


def scoring_windows(
    ids: np.ndarray, *, window: int = 256, most_rows: int = 64, part: int = 4096
) -> Iterator[ScoredWindow]:
    """Windows that score each token of the stream but the first exactly once, in order of rows.

    A short text is one row, its state carried from beginning to end. A long one is read in parts
    side by side, each after `window` tokens of what stands before it, so that every prediction
    has at least so much context.

    Args:
        ids: (N,) the stream.
        window: tokens at once.
        most_rows: rows side by side.
        part: tokens below which a row is not worth the context that it reads twice.
    """
    pairs = len(ids) - 1  # of a token and the one that follows
    rows = max(1, min(most_rows, pairs // part))
    context = 0 if rows == 1 else window
    length = -(-(pairs - context) // rows)  # what a row scores; the first row its context too
    starts = length * np.arange(rows)[:, None]
    for first in range(0, context + length, window):
        read = np.arange(first, min(first + window, context + length))
        places = starts + read
        scored = (places < pairs) & ((starts == 0) | (read >= context))
        safe = np.minimum(places, pairs - 1)
        inputs, targets = ids[safe].astype(np.int64), ids[safe + 1].astype(np.int64)
        yield ScoredWindow(inputs, targets, first == 0, np.where(scored, safe + 1, -1))
