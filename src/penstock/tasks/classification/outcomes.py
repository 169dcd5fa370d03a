"""Held-out texts that a classifier has labelled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from penstock.data.pair import Pair
from penstock.metrics.confidence import Outcomes
from penstock.tasks.sureness import odds_features

if TYPE_CHECKING:
    from penstock.tasks.classification.text_classifier import TextClassifier


def outcomes(classifier: TextClassifier, pairs: Sequence[Pair]) -> Outcomes:
    """Label held-out texts."""
    results = classifier.classify([pair.source for pair in pairs])
    features = [odds_features(*result.highest) for result in results]
    right = [result.label in pair.targets for pair, result in zip(pairs, results, strict=True)]
    return Outcomes(np.array(features, np.float64), np.array(right, np.float64))
