"""A pass over a given output: where the decoder looks and what else could stand there."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from penstock.insight.inspection import Attention, Choice
from penstock.search.step import Singles
from penstock.search.top import top_tokens

CHOICES = 8


def attention_of(weights: Singles) -> Attention:
    """Attention (H, T, S) as plain numbers of six decimals: more only makes JSON long."""
    exact = weights.astype(np.float64)
    return Attention(exact.round(6).tolist(), exact.mean(0).round(6).tolist())


def choices_of(
    log_probs: Singles, output: Sequence[int], vocabulary: Sequence[str]
) -> list[list[Choice]]:
    """For each place of an output the likeliest tokens, likeliest first, the taken among them.

    Args:
        log_probs: (T, V), what is never written at -inf.
        output: T ids.
        vocabulary: V tokens as they are shown.
    """
    values, ids = top_tokens(log_probs, min(CHOICES, log_probs.shape[1]))
    found: list[list[Choice]] = []
    for place, taken in enumerate(output):
        own: list[int] = ids[place].tolist()
        numbers: list[float] = values[place].tolist()
        if taken not in own:
            own[-1], numbers[-1] = taken, float(log_probs[place, taken])
        found.append(
            [
                Choice(vocabulary[token], number)
                for token, number in zip(own, numbers, strict=True)
                if number > -math.inf
            ]
        )
    return found
