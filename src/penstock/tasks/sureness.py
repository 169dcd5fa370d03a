"""Confidence of any task's outputs: required, and measured in an evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, replace

from penstock.errors import UsageError
from penstock.metrics.confidence import FEWEST, Confidence, Reliability
from penstock.tasks.evaluation import Evaluation

_LEAST = 1e-9  # a probability


def odds_features(first: float, second: float) -> list[float]:
    """The features of an answer, by the probabilities of the two likeliest ones."""
    first = min(max(first, _LEAST), 1 - _LEAST)
    return [math.log(first / (1 - first)), math.log(first / min(max(second, _LEAST), first))]


def require_confidence(confidence: Confidence | None) -> Confidence:
    """Check that outputs have a confidence.

    Raises:
        UsageError: they have none.
    """
    if confidence is None:
        raise UsageError(
            "min_confidence: outputs have no confidence here; it takes one model that was trained "
            f"with {FEWEST} held-out lines or more, and beam, greedy or exact search"
        )
    return confidence


def with_reliability(
    evaluation: Evaluation, outputs: Iterable[tuple[float | None, bool]]
) -> Evaluation:
    """Add how well the confidence of outputs agrees with how many are right.

    Args:
        evaluation: of the outputs.
        outputs: confidence of each, and whether it is exactly right; those without are left out.
    """
    known = [(value, right) for value, right in outputs if value is not None]
    if not known:
        return evaluation
    found = Reliability.of([value for value, _ in known], [right for _, right in known])
    rows = [("calibration error %", f"{found.error:.2f}")]
    for each in found.above:
        accuracy = "" if each.accuracy is None else f"  {100 * each.accuracy:.1f} % of them right"
        rows.append((f"confidence ≥ {each.confidence:g}", f"{100 * each.share:.1f} %{accuracy}"))
    measured = {"expected_calibration_error": found.error, **asdict(found), "outputs": len(known)}
    del measured["error"]
    return replace(
        evaluation,
        report={**evaluation.report, "confidence": measured},
        rows=[*evaluation.rows, *rows],
        reliability=found,
    )
