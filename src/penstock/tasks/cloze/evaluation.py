"""Evaluate a cloze, with every token as a blank in turn."""

from __future__ import annotations

import math
from itertools import islice

from penstock.errors import DataError
from penstock.metrics.text_scores import TextScores
from penstock.tasks.cloze.blank_filler import BlankFiller
from penstock.tasks.evaluation import BLOCK, Evaluation, EvaluationData, plain_rows
from penstock.tasks.sureness import with_reliability


def evaluate(filler: BlankFiller, data: EvaluationData) -> Evaluation:
    """Score every token of each line, given all others.

    Raises:
        DataError: every line is blank.
    """
    lines = iter(data.lines())
    found: list[TextScores] = []
    sample: list[str] = []  # on which the confidence is measured
    while block := list(islice(lines, BLOCK)):
        found += filler.score(block)
        sample = sample or block
    tokens = sum(line.tokens for line in found)
    if not tokens:
        raise DataError("no text to score: every line is blank", path=data.path)
    loss = -sum(line.log_probability for line in found) / tokens
    scores = {
        "accuracy": 100 * sum(line.right for line in found) / tokens,
        "perplexity": math.exp(min(loss, 700.0)),
    }
    unknown = sum(line.unknown for line in found)
    report = {**scores, "blanks": tokens, "unknown": unknown, "lines": len(found)}
    evaluation = Evaluation(scores, examples=len(found), report=report, rows=plain_rows(report))
    if filler.bundle.confidence is None:
        return evaluation
    outcomes = filler.outcomes(sample)
    confidences = filler.bundle.confidence.right[0].of(outcomes.features).tolist()
    right = outcomes.right.astype(bool).tolist()
    return with_reliability(evaluation, zip(confidences, right, strict=True))
