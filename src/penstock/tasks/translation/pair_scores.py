"""Score targets given their sources."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penstock.data.padding import cut_by_tokens
from penstock.runtime.decoder_engine import TranslationEngine
from penstock.search.ensemble import mix
from penstock.tasks.translation.result import PairScore
from penstock.tasks.translation.source_encoder import SourceIds

_BATCH_TOKENS = 2048  # an engine keeps the log-probabilities of a batch whole


def score_pairs(
    engines: Sequence[TranslationEngine],
    weights: Sequence[float],
    sources: Sequence[SourceIds],
    targets: Sequence[list[int]],
) -> list[PairScore]:
    """Score each target, in order.

    Args:
        engines: one, or several with one target vocabulary.
        weights: shares of the engines, summing to 1.
        sources: for each engine its ids, EOS last.
        targets: ids, EOS last.
    """
    scores: dict[int, PairScore] = {}
    order = sorted(range(len(targets)), key=lambda i: (len(targets[i]), len(sources[i][0])))
    lengths = np.array([len(targets[i]) for i in order])
    for cut in cut_by_tokens(np.array(order), lengths, _BATCH_TOKENS):
        rows: list[int] = cut.tolist()
        wanted = [targets[i] for i in rows]
        every = [
            engine.score([sources[i][index] for i in rows], wanted)
            for index, engine in enumerate(engines)
        ]
        for row, values in zip(rows, mix(every, weights), strict=True):
            length = len(targets[row])
            scores[row] = PairScore(float(values[:length].astype(np.float64).sum()), length)
    return [scores[row] for row in range(len(targets))]
