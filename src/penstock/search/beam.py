"""Beam search: the best K partial hypotheses kept at every step.

A finished hypothesis still occupies a slot of its beam, so that a beam of 1 is greedy search and a
beam that prunes nothing is exhaustive. A sentence is done when no partial hypothesis is left, or
when none that is left can still beat the finished ones asked for. Diverse beam search divides the
beam into groups; each group avoids the tokens that earlier groups have taken at the same step.

Where a sentence has phrases that must occur, the slots of its beam are shared among hypotheses that
have met equally many of them (Post and Vilar 2018, https://arxiv.org/abs/1804.06609).
"""

from __future__ import annotations

import numpy as np

from penstock.errors import UsageError
from penstock.search.beam_state import BeamState
from penstock.search.cancellation import ShouldStop, check_stop
from penstock.search.hypothesis import Hypothesis, OnResult, require_found
from penstock.search.limits import Limits
from penstock.search.ranking import Ranking
from penstock.search.step import S, Step
from penstock.search.trace import SearchTrace


def beam_search(
    step: Step[S],
    state: S,
    limits: Limits,
    *,
    beam_size: int,
    n_best: int = 1,
    ranking: Ranking | None = None,
    groups: int = 1,
    diversity: float = 0.0,
    align: bool = False,
    trace: SearchTrace | None = None,
    on_result: OnResult | None = None,
    should_stop: ShouldStop | None = None,
) -> list[list[Hypothesis]]:
    """Search all sentences together.

    Args:
        step: the model's step.
        state: of B rows, before BOS.
        limits: special ids, B maximum lengths and what else an output must be.
        beam_size: K, slots per sentence.
        n_best: hypotheses returned per sentence, at most K.
        ranking: of finished outputs; default: the book's, α = 1.
        groups: beams that the K slots are divided into (Vijayakumar et al. 2018,
            https://arxiv.org/abs/1610.02424).
        diversity: what a token costs a group for each time that an earlier group has taken it at
            this step. Reported scores do not contain it.
        align: keep the attention of each step.
        trace: filled with what each step compares.
        on_result: called with the hypotheses of each sentence as soon as its search is done.
        should_stop: cancels the search when it returns True.

    Returns:
        For each of the B sentences up to `n_best` distinct hypotheses, best first.

    Raises:
        UsageError: an impossible option, or limits that no output meets.
        SearchStoppedError: cancelled by `should_stop`.
    """
    if beam_size < 1 or not 1 <= groups <= beam_size or beam_size % groups:
        raise UsageError(
            f"beam_size {beam_size}, groups {groups}: a beam has at least one place, and groups "
            "divide it evenly"
        )
    count = len(limits.max_lengths)
    beams = BeamState(
        limits, ranking or Ranking(), beam_size=beam_size // groups, groups=groups, n_best=n_best,
        diversity=diversity, align=align, trace=trace,
    )  # fmt: skip
    found: dict[int, list[Hypothesis]] = {}
    last = np.full(count * groups, limits.bos_id)
    if groups > 1:
        state = state.select(np.repeat(np.arange(count), groups))
    while len(last):
        check_stop(should_stop)
        output = step(last, state, top=beams.top)
        parents, last = beams.advance(output.log_probs, output.ids, output.attention)
        for sentence in beams.newly_done():
            found[sentence] = beams.best_of(sentence)
            if on_result is not None:
                on_result(sentence, found[sentence])
        if len(last):
            state = output.state.select(parents)
    in_order = [found[sentence] for sentence in range(count)]
    require_found(in_order, "beam")
    return in_order
