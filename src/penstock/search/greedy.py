"""Greedy search: the best token at every step."""

from __future__ import annotations

import torch

from penstock.search.hypothesis import Hypothesis, Tell
from penstock.search.limits import Limits
from penstock.search.ranking import PLAIN, Ranking
from penstock.search.row_decoder import decode_rows
from penstock.search.step import S, Step
from penstock.search.top import top_tokens


@torch.no_grad()
def greedy_search(
    step: Step[S],
    state: S,
    limits: Limits,
    *,
    ranking: Ranking = PLAIN,
    align: bool = False,
    tell: Tell | None = None,
) -> list[Hypothesis]:
    """The likeliest token each time; of equally likely ones the lower id.

    Args:
        step: the model's step.
        state: of B rows, before BOS.
        limits: special ids, B maximum lengths and what else an output must be.
        ranking: only enters the reported score.
        align: keep the attention of each step.
        tell: called with each sentence's hypothesis as soon as it has ended.

    Returns:
        B hypotheses in the rows' order.

    Raises:
        UsageError: limits that no output meets, or that this search cannot meet.
    """
    sentences = range(len(limits.max_lengths))
    return decode_rows(
        step,
        state,
        limits,
        sentences,
        lambda log_probs, _: top_tokens(log_probs, 1)[1][:, 0],
        ranking=ranking,
        align=align,
        tell=tell,
    )
