"""The likeliest tokens per row, from all log-probabilities."""

from __future__ import annotations

import numpy as np

from penstock.search.step import Ints, Singles


def top_tokens(log_probs: Singles, count: int) -> tuple[Singles, Ints]:
    """The `count` greatest of each row, greatest first; of equal ones the lower id first.

    Args:
        log_probs: (N, V); the same afterwards.
        count: K, at most V.

    Returns:
        Values and ids, (N, K) each; ids of -inf mean nothing.
    """
    log_probs = np.ascontiguousarray(log_probs)
    values = np.empty((count, len(log_probs)), dtype=np.float32)
    places = np.empty((count, len(log_probs)), dtype=np.int64)
    flat = log_probs.reshape(-1)
    firsts = np.arange(len(log_probs)) * log_probs.shape[1]
    # argmax is so fast that K of them beat any partition, and it returns the first of equal values
    for value, place in zip(values, places, strict=True):
        np.add(log_probs.argmax(-1), firsts, out=place)
        flat.take(place, out=value)
        flat[place] = -np.inf
    # backwards: once only -inf is left, argmax returns a place again
    for value, place in zip(values[::-1], places[::-1], strict=True):
        flat[place] = value
    return np.ascontiguousarray(values.T), np.ascontiguousarray((places - firsts).T)
