"""The probability of each line of a text, for models that score lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol

from penstock.metrics.text_scores import TextScores
from penstock.tasks.evaluation import BLOCK, EvaluationData, ScoredText


class LineScorer(Protocol):
    """A model that scores lines."""

    def score(self, lines: Sequence[str]) -> list[TextScores]:
        """The scores of each line, in order."""
        ...


def score_lines(model: LineScorer, data: EvaluationData) -> Iterator[ScoredText]:
    """Score each line alone; a cloze scores every token given all others."""
    lines = iter(data.lines())
    while block := list(islice(lines, BLOCK)):
        for line, found in zip(block, model.score(block), strict=True):
            perplexity = found.perplexity if found.tokens else None
            yield ScoredText({"text": line}, found.log_probability, found.tokens, perplexity)
