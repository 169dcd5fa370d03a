"""Trace of a beam search: which candidates each step compared, and which it kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from penstock.search.step import Singles
from penstock.search.top import top_tokens


@dataclass(frozen=True, slots=True)
class Candidate:
    """A partial hypothesis with one more token, as a step of a beam search compared them.

    A candidate is kept (`became`), is finished (`score`), or was pruned (neither): others were
    likelier, or the search of its sentence ended.

    Attributes:
        sentence: its number in the batch.
        row: of the hypothesis that it extends, in this step; in the first step the rows are the
            sentences.
        token: what was added, EOS included.
        log_probability: of the token, in nats.
        total: of the hypothesis with the token.
        became: its row in the next step; None when it is not extended.
        score: of an output that is finished here; None for others.
    """

    sentence: int
    row: int
    token: int
    log_probability: float
    total: float
    became: int | None = None
    score: float | None = None


@dataclass(slots=True)
class SearchTrace:
    """A record of a beam search, filled while it runs.

    Attributes:
        steps: for each step all candidates that it compared.
    """

    steps: list[list[Candidate]] = field(default_factory=list[list[Candidate]])


def pruned(
    log_probs: Singles,
    sentences: Sequence[int],
    totals: Sequence[float],
    chosen: Sequence[Candidate],
    *,
    count: int,
) -> list[Candidate]:
    """The likeliest tokens of each row that were not chosen.

    Args:
        log_probs: (N, V) of the step's rows, -inf where a token must not follow.
        sentences: of the N rows.
        totals: of the N partial hypotheses.
        chosen: what was kept or is finished.
        count: tokens that were compared per row.
    """
    taken = {(candidate.row, candidate.token) for candidate in chosen}
    values, ids = top_tokens(log_probs, min(count, log_probs.shape[1]))
    found: list[Candidate] = []
    for row in range(len(sentences)):
        for value, token in zip(values[row].tolist(), ids[row].tolist(), strict=True):
            if value > -np.inf and (row, token) not in taken:
                total = totals[row] + value
                found.append(Candidate(sentences[row], row, token, value, total))
    return found
