"""Greedy search: the best token at every step."""

from __future__ import annotations

from penstock.search.cancellation import ShouldStop
from penstock.search.hypothesis import Hypothesis, OnResult
from penstock.search.limits import Limits
from penstock.search.ranking import PLAIN, Ranking
from penstock.search.row_decoder import decode_rows
from penstock.search.step import S, Step


def greedy_search(
    step: Step[S],
    state: S,
    limits: Limits,
    *,
    ranking: Ranking = PLAIN,
    align: bool = False,
    on_result: OnResult | None = None,
    should_stop: ShouldStop | None = None,
) -> list[Hypothesis]:
    """The likeliest token each time; of equally likely ones the lower id.

    Args:
        step: the model's step.
        state: of B rows, before BOS.
        limits: special ids, B maximum lengths and what else an output must be.
        ranking: only used for the reported score.
        align: keep the attention of each step.
        on_result: called with each sentence's hypothesis as soon as it is finished.
        should_stop: cancels the search when it returns True.

    Returns:
        B hypotheses in the rows' order.

    Raises:
        UsageError: limits that no output meets, or that this search cannot meet.
        SearchStoppedError: cancelled by `should_stop`.
    """
    return decode_rows(
        step, state, limits, range(len(limits.max_lengths)), None, ranking=ranking, align=align,
        on_result=on_result, should_stop=should_stop,
    )  # fmt: skip
