"""Beam search: the best K beginnings kept at every step.

A beginning that ends keeps its place in the beam, so that a beam of 1 is greedy search and a
beam that prunes nothing is exhaustive. A sentence is done when no beginning is left alive, or
when none alive can still beat the hypotheses asked for. Diverse beam search is groups of beams of
which each is held off the tokens that the groups before it have just taken.

Where a sentence has phrases that must occur, the places of its beam are shared among beginnings
that have come equally far with them (Post and Vilar 2018, https://arxiv.org/abs/1804.06609).
"""

from __future__ import annotations

import torch

from penstock.errors import UsageError
from penstock.search.beam_state import Beginnings
from penstock.search.hypothesis import Hypothesis, Tell, require_found
from penstock.search.limits import Limits
from penstock.search.ranking import Ranking
from penstock.search.rules import Rules
from penstock.search.step import S, Step
from penstock.search.trace import Watch


@torch.no_grad()
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
    watch: Watch | None = None,
    tell: Tell | None = None,
) -> list[list[Hypothesis]]:
    """Search all sentences together.

    Args:
        step: the model's step.
        state: of B rows, before BOS.
        limits: special ids, B maximum lengths and what else an output must be.
        beam_size: K, beginnings kept a sentence.
        n_best: hypotheses returned a sentence, at most K.
        ranking: of finished outputs; default: the book's, α = 1.
        groups: beams that the K places are divided into (Vijayakumar et al. 2018,
            https://arxiv.org/abs/1610.02424).
        diversity: what a token costs a group for each time that an earlier group has taken it at
            this step. Reported scores do not contain it.
        align: keep the attention of each step.
        watch: called once a step with what was compared: the likeliest tokens of each beginning.
        tell: called with the hypotheses of each sentence as soon as its search is done.

    Returns:
        For each of the B sentences up to `n_best` distinct hypotheses, best first.

    Raises:
        UsageError: an impossible option, or limits that no output meets.
    """
    if beam_size < 1 or not 1 <= groups <= beam_size or beam_size % groups:
        raise UsageError(
            f"beam_size {beam_size}, groups {groups}: a beam has at least one place, and groups "
            "divide it evenly"
        )
    ranking = ranking or Ranking()
    count = len(limits.max_lengths)
    if not count:
        return []
    beams: Beginnings | None = None
    last = torch.full((count,), limits.bos_id)
    if groups > 1:
        rows = torch.arange(count).repeat_interleave(groups)
        state, last = state.select(rows), last[rows]
    while len(last):
        output = step(last, state)
        log_probs = limits.allowed(output.logits)
        if beams is None:
            rules = Rules(limits, log_probs.shape[1])
            beams = Beginnings(
                rules, ranking, beam_size=beam_size // groups, groups=groups, n_best=n_best,
                diversity=diversity, align=align, watch=watch,
            )  # fmt: skip
        parents, last = beams.advance(log_probs, output.weights)
        if tell is not None:
            for sentence in beams.newly_done():
                tell(sentence, beams.best_of(sentence))
        if len(last):
            state = output.state.select(parents)
    assert beams is not None
    found = [beams.best_of(sentence) for sentence in range(count)]
    require_found(found, "beam")
    return found
