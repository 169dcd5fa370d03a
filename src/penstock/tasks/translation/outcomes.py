"""The scores of outputs that their confidence is fitted to and computed from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from penstock.data.pair import Pair
from penstock.metrics.confidence import Outcomes
from penstock.metrics.error_rates import exact_matches
from penstock.search import Hypothesis

if TYPE_CHECKING:
    from penstock.tasks.translation.translator import Translator

_LEAST, _MOST_MARGIN = -50.0, 20.0  # log-probabilities further from 0 say nothing more


def score_features(hypothesis: Hypothesis) -> list[float]:
    """The features that `TRANSLATION.features` names; without the last where it has no margin."""
    log_probabilities = hypothesis.token_log_probabilities
    total = max(math.fsum(log_probabilities), _LEAST)
    count = max(len(log_probabilities), 1)
    lowest = max(min(log_probabilities, default=0.0), _LEAST)
    features = [total, total / count, lowest, math.log(count), float(hypothesis.finished)]
    if hypothesis.margin is not None:
        features.append(max(min(hypothesis.margin, _MOST_MARGIN), -_MOST_MARGIN))
    return features


def outcomes(translator: Translator, pairs: Sequence[Pair]) -> Outcomes:
    """Translate held-out pairs by the model's own search; none that is split."""
    from penstock.metrics.sacrebleu_scores import sentence_chrf

    results = translator.with_hypotheses([pair.source for pair in pairs])
    found = [
        (result.text, pair.targets, best[0])
        for pair, (result, best) in zip(pairs, results, strict=True)
        if len(best) == 1
    ]
    texts, references = [text for text, _, _ in found], [targets for _, targets, _ in found]
    rows = [score_features(hypothesis) for _, _, hypothesis in found]
    size = min(map(len, rows), default=0)
    right = [count for count, _ in exact_matches(texts, references)] if found else []
    return Outcomes(
        np.array([row[:size] for row in rows], np.float64),
        np.array(right, np.float64),
        np.array(list(map(sentence_chrf, texts, references)), np.float64),
        optional=int(all(hypothesis.margin is not None for _, _, hypothesis in found)),
    )
