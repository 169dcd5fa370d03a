"""Confidence: what it is fitted to comes back, and its error is measured as by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.errors import BundleError
from penstock.metrics.confidence import Calibrator, Confidence, Outcomes, Reliability

NAMES = ("a", "b")


def drawn(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, the probability that each gives, and outcomes drawn from it."""
    random = np.random.default_rng(seed)
    features = random.normal([-3, 10], [2, 5], size=(count, 2))
    probability = 1 / (1 + np.exp(-(2 + 0.8 * features[:, 0] - 0.1 * (features[:, 1] - 10))))
    return features, probability, (random.random(count) < probability).astype(float)


def test_a_fit_finds_the_probabilities() -> None:
    features, probability, right = drawn(4000)
    calibrator = Calibrator.fit(features, right)
    assert np.abs(calibrator.of(features) - probability).max() < 0.05
    assert calibrator(features[7].tolist()) == pytest.approx(calibrator.of(features[7:8])[0])


def test_a_fit_is_the_minimum() -> None:
    """Of cross-entropy to smoothed targets with a ridge: no step in any direction is better."""
    features, _, right = drawn(60)
    calibrator = Calibrator.fit(features, right)
    ups = right.sum()
    targets = np.where(right == 1, (ups + 1) / (ups + 2), 1 / (60 - ups + 2))
    standard = (features - features.mean(0)) / features.std(0)

    def loss(weights: np.ndarray, bias: float) -> float:
        found = 1 / (1 + np.exp(-(standard @ weights + bias)))
        entropy = -(targets * np.log(found) + (1 - targets) * np.log(1 - found)).sum()
        return float(entropy + (weights**2).sum() / 2)

    weights = np.array(calibrator.weights)
    least = loss(weights, calibrator.bias)
    for step in (0.01, -0.01):
        assert loss(weights + np.array([step, 0]), calibrator.bias) > least
        assert loss(weights + np.array([0, step]), calibrator.bias) > least
        assert loss(weights, calibrator.bias + step) > least


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_right_or_all_wrong_is_not_certain(value: float) -> None:
    features, _, _ = drawn(60)
    found = Calibrator.fit(features, np.full(60, value)).of(features)
    assert np.abs(found - value).max() == pytest.approx(1 / 62, abs=0.005)


def test_a_constant_feature_does_no_harm() -> None:
    features, _, right = drawn(100)
    features[:, 1] = 1.0
    assert np.isfinite(Calibrator.fit(features, right).of(features)).all()
    assert 0 <= Calibrator.fit(features, right)([-1e9, 1.0]) < 1e-6


def test_expected_calibration_error_by_hand() -> None:
    found = Reliability.of([0.95, 0.91, 1.0, 0.35, 0.31], [True, True, False, False, True])
    high, low = abs((0.95 + 0.91 + 1.0) / 3 - 2 / 3), abs(0.33 - 0.5)
    assert found.error == pytest.approx(100 * (3 * high + 2 * low) / 5)
    assert [each.count for each in found.bins] == [2, 3]
    above = {each.confidence: (each.share, each.accuracy) for each in found.above}
    assert above[0.9] == (0.6, pytest.approx(2 / 3))
    assert above[0.99] == (0.2, 0.0)
    assert Reliability.of([0.2], [True]).above[0].accuracy is None
    assert Reliability.of([], []).error == 0


def test_its_own_error_is_small_and_cross_validated() -> None:
    features, probability, right = drawn(2000)
    confidence = Confidence.fit(Outcomes(features, right, 100 * probability))
    assert confidence is not None
    assert confidence.chrf
    assert 0 < confidence.error < 4
    assert np.abs(confidence.chrf[0].of(features) - probability).max() < 0.02


def test_few_examples_give_none() -> None:
    features, _, right = drawn(49)
    assert Confidence.fit(Outcomes(features, right)) is None


@pytest.fixture(scope="module")
def confidence() -> Confidence:
    features, _, right = drawn(100)
    fitted = Confidence.fit(Outcomes(features, right))
    assert fitted is not None
    return fitted


def test_it_survives_serialization(confidence: Confidence) -> None:
    assert Confidence.from_json(confidence.to_json(NAMES), features=NAMES) == confidence


def without_scales(value: dict[str, Any]) -> None:
    del value["right"][0]["scales"]


def shorter(value: dict[str, Any]) -> None:
    value["right"][0]["weights"] = [1.0]


def endless(value: dict[str, Any]) -> None:
    value["right"][0]["bias"] = math.inf


def other_features(value: dict[str, Any]) -> None:
    value["features"] = ["a", "c"]


def flat(value: dict[str, Any]) -> None:
    value["right"][0]["scales"] = [0.0, 1.0]


@pytest.mark.parametrize("damage", [without_scales, shorter, endless, other_features, flat])
def test_damage_is_reported(
    confidence: Confidence, damage: Callable[[dict[str, Any]], None]
) -> None:
    value = json.loads(confidence.to_json(NAMES))
    damage(value)
    with pytest.raises(BundleError, match=r"^model/confidence: damaged; restore it"):
        Confidence.from_json(json.dumps(value), features=NAMES, place="model/confidence")


def test_the_diagram_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from penstock.insight.reliability_diagram import draw_reliability

    draw_reliability(Reliability.of([0.95, 0.4], [True, False]), tmp_path / "a.svg")
    assert "confidence" in (tmp_path / "a.svg").read_text("utf-8")
