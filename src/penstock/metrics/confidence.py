"""The probability that an output is exactly right: fitted on held-out data, and measured.

Score features go through a logistic regression (Platt, 'Probabilistic outputs for support vector
machines', 1999) with its smoothed targets and a little ridge, so that a few dozen examples, all of
them right or all wrong, give a sound answer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from penstock.errors import BundleError

Numbers = NDArray[np.float64]

FEWEST = 50  # examples to fit on: with fewer no confidence is better than a wrong one
BINS = 10
THRESHOLDS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
_FOLDS = 5
_RIDGE = 1.0
_NEWTON_STEPS = 100


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a model made of held-out examples.

    Attributes:
        features: (N, F) of its scores.
        optional: of the features, the last ones that some outputs lack.
        right: (N,) 1 where the output is exactly right, 0 elsewhere.
        chrf: (N,) of the output, 0 to 100; None where outputs are not texts.
    """

    features: Numbers
    right: Numbers
    chrf: Numbers | None = None
    optional: int = 0


@dataclass(frozen=True, slots=True)
class Calibrator:
    """A logistic regression on standardized features."""

    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float

    @classmethod
    def fit(cls, features: Numbers, targets: Numbers) -> Self:
        """Fit to targets between 0 and 1.

        Args:
            features: (N, F).
            targets: (N,) outcomes, or fractions.
        """
        means, scales = np.array(features.mean(0)), np.array(features.std(0))
        scales[scales < 1e-9] = 1.0
        design = np.ones((len(features), len(means) + 1))
        design[:, :-1] = (features - means) / scales
        ups, count = float(targets.sum()), len(targets)
        highest, lowest = (ups + 1) / (ups + 2), 1 / (count - ups + 2)
        smoothed = lowest + targets * (highest - lowest)
        weights = _minimum(design, smoothed)
        *slopes, bias = map(float, weights)
        return cls(tuple(map(float, means)), tuple(map(float, scales)), tuple(slopes), bias)

    def __call__(self, features: Sequence[float]) -> float:
        """The probability, or the expected fraction, for one output's features."""
        terms = zip(self.weights, features, self.means, self.scales, strict=False)
        logit = self.bias + sum(w * (x - m) / s for w, x, m, s in terms)
        return 1 / (1 + math.exp(-logit)) if logit > -500 else 0.0

    def of(self, features: Numbers) -> Numbers:
        """The same for (N, F) features."""
        standard = (features - np.array(self.means)) / np.array(self.scales)
        return _sigmoid(standard @ np.array(self.weights) + self.bias)


@dataclass(frozen=True, slots=True)
class Confidence:
    """What makes scores probabilities.

    Attributes:
        right: to the probability of being exactly right; from all features, and, where some are
            optional, from the others alone.
        chrf: likewise to the expected chrF, as a fraction; empty where outputs are not texts.
        examples: it was fitted on.
        error: expected calibration error on them, in percent, cross-validated.
    """

    right: tuple[Calibrator, ...]
    chrf: tuple[Calibrator, ...]
    examples: int
    error: float

    @classmethod
    def fit(cls, outcomes: Outcomes) -> Self | None:
        """Fit to held-out outcomes; None where there are fewer than `FEWEST`."""
        count = len(outcomes.right)
        if count < FEWEST:
            return None
        fold = np.arange(count) % _FOLDS
        apart = np.zeros(count)
        for number in range(_FOLDS):
            own = fold == number
            fitted = Calibrator.fit(outcomes.features[~own], outcomes.right[~own])
            apart[own] = fitted.of(outcomes.features[own])
        every = outcomes.features.shape[1]
        sizes = (every, every - outcomes.optional) if outcomes.optional else (every,)

        def fitted_to(targets: Numbers) -> tuple[Calibrator, ...]:
            return tuple(Calibrator.fit(outcomes.features[:, :size], targets) for size in sizes)

        return cls(
            fitted_to(outcomes.right),
            () if outcomes.chrf is None else fitted_to(outcomes.chrf / 100),
            count,
            Reliability.of(apart.tolist(), outcomes.right.astype(bool).tolist()).error,
        )

    def __str__(self) -> str:
        return f"fitted to {self.examples:,} outputs, calibration error {self.error:.1f} %"

    def probability(self, features: Sequence[float]) -> float:
        """The probability that an output is exactly right; optional features may lack."""
        return _fitting(self.right, features)(features)

    def expected_chrf(self, features: Sequence[float]) -> float | None:
        """The chrF (0 to 100) to expect of an output; None where outputs are not texts."""
        return 100 * _fitting(self.chrf, features)(features) if self.chrf else None

    def to_json(self, features: Sequence[str]) -> str:
        """Serialize to JSON, with the names of the task's features."""
        return json.dumps({"format": 1, "features": [*features], **asdict(self)})

    @classmethod
    def from_json(cls, text: str, *, features: Sequence[str], place: str = "confidence") -> Self:
        """Deserialize the result of `to_json`.

        Args:
            text: the JSON.
            features: names of the task's.
            place: its origin, for messages.

        Raises:
            BundleError: damaged.
        """
        try:
            value = json.loads(text)
            if value["features"] != [*features]:
                raise ValueError("features")
            right = tuple(_calibrator(each, len(features)) for each in value["right"])
            chrf = tuple(_calibrator(each, len(features)) for each in value["chrf"])
            examples, error = int(value["examples"]), float(value["error"])
            if not right or not math.isfinite(error):
                raise ValueError("right")
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
            raise BundleError(f"{place}: damaged; restore it or train again") from None
        return cls(right, chrf, examples, error)


@dataclass(frozen=True, slots=True)
class Bin:
    """Outputs of like confidence: its mean, the share that is right, and how many they are."""

    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True, slots=True)
class Threshold:
    """Outputs of at least a confidence: their share of all, and the share of them that is right."""

    confidence: float
    share: float
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Reliability:
    """Do outputs of confidence 0.8 turn out right eight times in ten?

    Attributes:
        error: expected calibration error in percent: over `BINS` bins of equal width, the mean
            distance between confidence and accuracy, weighted by count (Guo et al. 2017,
            https://arxiv.org/abs/1706.04599).
        bins: those that are not empty.
        above: accuracy above thresholds.
    """

    error: float
    bins: list[Bin]
    above: list[Threshold]

    @classmethod
    def of(cls, confidences: Sequence[float], right: Sequence[bool]) -> Self:
        """Measure outputs; none give an error of 0."""
        values, outcomes = np.array(confidences, np.float64), np.array(right, np.float64)
        place = np.minimum((values * BINS).astype(np.int64), BINS - 1)
        bins: list[Bin] = []
        for number in range(BINS):
            own = place == number
            if own.any():
                bins.append(
                    Bin(float(values[own].mean()), float(outcomes[own].mean()), int(own.sum()))
                )
        distance = sum(each.count * abs(each.confidence - each.accuracy) for each in bins)
        above: list[Threshold] = []
        for threshold in THRESHOLDS:
            sure = values >= threshold
            accuracy = float(outcomes[sure].mean()) if sure.any() else None
            above.append(Threshold(threshold, float(sure.mean()) if len(sure) else 0.0, accuracy))
        return cls(100 * distance / max(len(values), 1), bins, above)


def _minimum(design: Numbers, targets: Numbers) -> Numbers:
    """Weights of the least cross-entropy and ridge, by Newton's method; the last is the bias."""
    ridge = np.full(design.shape[1], _RIDGE)
    ridge[-1] = 1e-9
    weights = np.zeros(design.shape[1])
    for _ in range(_NEWTON_STEPS):
        found = _sigmoid(design @ weights)
        gradient = design.T @ (found - targets) + ridge * weights
        hessian = (design.T * (found * (1 - found))) @ design + np.diag(ridge)
        step: Numbers = np.linalg.inv(hessian) @ gradient
        before = _loss(design, targets, ridge, weights)
        while _loss(design, targets, ridge, weights - step) > before and np.abs(step).max() > 1e-9:
            step *= 0.5
        weights -= step
        if np.abs(step).max() < 1e-7:
            break
    return weights


def _loss(design: Numbers, targets: Numbers, ridge: Numbers, weights: Numbers) -> float:
    logits = design @ weights
    return float((np.logaddexp(0, logits) - targets * logits).sum() + weights**2 @ ridge / 2)


def _fitting(fitted: Sequence[Calibrator], features: Sequence[float]) -> Calibrator:
    """The one that takes so many features; of none, the one that takes the fewest."""
    return next((each for each in fitted if len(each.weights) == len(features)), fitted[-1])


def _sigmoid(logits: Numbers) -> Numbers:
    return np.exp(-np.logaddexp(0, -logits))


def _calibrator(value: Any, features: int) -> Calibrator:
    means, scales, weights = (
        tuple(map(float, value[name])) for name in ("means", "scales", "weights")
    )
    bias = float(value["bias"])
    size = len(weights)
    sound = 0 < size <= features and size == len(means) == len(scales) and min(scales) > 0
    if not sound or not np.isfinite([*means, *weights, bias]).all():
        raise ValueError("calibrator")
    return Calibrator(means, scales, weights, bias)
