# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch gives `tolist` no type: what comes of it is declared)
"""Watching a beam search: what each step compared, and what became of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from penstock.search.top import top_tokens


@dataclass(frozen=True, slots=True)
class Candidate:
    """A beginning with one more token, as a step of a beam search compared them.

    A candidate is kept (`became`), ended in a place of the beam (`score`), or fell out (neither):
    others were likelier, or its sentence was done.

    Attributes:
        sentence: its number in the batch.
        row: the beginning, by its row in this step; in the first step the rows are the sentences.
        token: what was added, the end included.
        log_probability: of the token, in nats.
        total: of the beginning with the token.
        became: its row in the next step; None when it does not go on.
        score: of an output that ended here; None for others.
    """

    sentence: int
    row: int
    token: int
    log_probability: float
    total: float
    became: int | None = None
    score: float | None = None


# called once a step with all its candidates
Watch = Callable[[Sequence[Candidate]], None]


def fallen_out(
    log_probs: Tensor,
    sentences: Sequence[int],
    totals: Sequence[float],
    chosen: Sequence[Candidate],
    *,
    count: int,
) -> list[Candidate]:
    """Of each row the likeliest tokens that were not chosen.

    Args:
        log_probs: (N, V) of the step's rows, what must not follow at -inf.
        sentences: of the N rows.
        totals: of the N beginnings.
        chosen: what was kept or ended.
        count: of a row the tokens that were compared.
    """
    taken = {(candidate.row, candidate.token) for candidate in chosen}
    values, ids = top_tokens(log_probs, min(count, log_probs.shape[1]))
    found: list[Candidate] = []
    for row in range(len(sentences)):
        for value, token in zip(values[row].tolist(), ids[row].tolist(), strict=True):
            if value > -math.inf and (row, token) not in taken:
                total = totals[row] + value
                found.append(Candidate(sentences[row], row, token, value, total))
    return found
