"""The likeliest tokens per row, from all log-probabilities."""

from __future__ import annotations

import numpy as np

from penstock.search.step import Ints, Singles


def top_tokens(log_probs: Singles, count: int) -> tuple[Singles, Ints]:
    """The `count` greatest of each row, greatest first; of equal ones the lower id first.

    Args:
        log_probs: (N, V).
        count: K, at most V.

    Returns:
        Values and ids, (N, K) each.
    """
    if count == 1:  # argmax returns the first of equal values
        ids = log_probs.argmax(-1)[:, None]
        return np.take_along_axis(log_probs, ids, -1), ids
    rows, vocab_size = log_probs.shape
    ids = np.empty((rows, count), dtype=np.int64)
    least = np.partition(log_probs, vocab_size - count, -1)[:, vocab_size - count]
    for row, values in enumerate(log_probs):
        enough = np.flatnonzero(values >= least[row])  # more than `count` where values are equal
        ids[row] = enough[np.argsort(-values[enough], kind="stable")[:count]]
    return np.take_along_axis(log_probs, ids, -1), ids
