"""Exact search: the best output there is, by branch and bound.

Best first: the partial hypothesis that can still reach the highest score is extended next. Beam
search gives a first output; what cannot beat it is never extended (Stahlberg and Byrne 2019,
https://arxiv.org/abs/1908.10090, do so depth first). When no partial hypothesis is left that could
score higher, the best output is certified. When the budget runs out first, the best found is
returned with a bound on what could have been missed.

The bounds (`Ranking.bounds`) use only that a probability is at most 1 and a length at most the
limit: for normalised scores they are loose, and few sentences are certified.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Generic

import numpy as np

from penstock.errors import UsageError
from penstock.search.beam import beam_search
from penstock.search.cancellation import ShouldStop, check_stop
from penstock.search.hypothesis import Hypothesis
from penstock.search.limits import Limits
from penstock.search.ranking import Ranking, covered
from penstock.search.rules import ConstraintState, Rules
from penstock.search.step import Floats, Ints, J, Singles, Step

_MOST_CHILDREN = 1024  # kept per partial hypothesis; what is dropped enters the bound


@dataclass(frozen=True, slots=True, eq=False)
class _Block(Generic[J]):
    """The states after hypotheses that were extended in one step, and that step's attention."""

    state: J
    attention: Singles | None


@dataclass(frozen=True, slots=True, eq=False)
class _Node(Generic[J]):
    """A partial hypothesis that has been extended.

    Attributes:
        parent, token, log_prob: the hypothesis that it extends, and by what.
        total: its log-probability.
        length: its tokens.
        block, row: where the state after it is.
        constraints: its progress on them; None where the limits are plain.
        tokens, log_probs, bounds: its children, best first.
    """

    parent: _Node[J] | None
    token: int
    log_prob: float
    total: float
    length: int
    block: _Block[J]
    row: int
    constraints: ConstraintState | None
    tokens: Ints
    log_probs: Floats
    bounds: Floats


def exact_search(
    step: Step[J],
    state: J,
    limits: Limits,
    *,
    n_best: int = 1,
    ranking: Ranking | None = None,
    budget: int = 5000,
    batch: int = 16,
    beam_size: int = 5,
    align: bool = False,
    should_stop: ShouldStop | None = None,
) -> list[list[Hypothesis]]:
    """Find each sentence's best outputs, or prove how far off the best found can be.

    Args:
        step: the model's step.
        state: of B rows, before BOS.
        limits: special ids, B maximum lengths and what else an output must be.
        n_best: hypotheses returned per sentence.
        ranking: of finished outputs; default: the book's, α = 1.
        budget: the most partial hypotheses extended per sentence, beam search not counted.
        batch: hypotheses extended together; a certified result does not depend on it.
        beam_size: of the beam search that goes before; at least `n_best`.
        align: keep the attention of each step.
        should_stop: cancels the search when it returns True.

    Returns:
        For each of the B sentences up to `n_best` distinct hypotheses, best first. All are
        `certified`, or none is, and then no output that is missing scores above `bound`.

    Raises:
        UsageError: an impossible option, or limits that no output meets.
        SearchStoppedError: cancelled by `should_stop`.
    """
    if budget < 1 or batch < 1:
        raise UsageError(f"exact search: budget {budget} and batch {batch} must be at least 1")
    ranking = ranking or Ranking()
    count = len(limits.max_lengths)
    if not count:
        return []
    first = beam_search(
        step, state, limits, beam_size=max(beam_size, n_best), n_best=n_best, ranking=ranking,
        align=align, should_stop=should_stop,
    )  # fmt: skip
    found: list[list[Hypothesis]] = []
    for sentence in range(count):
        search = _Search(
            step, limits, sentence, first[sentence], ranking, n_best=n_best, align=align,
            should_stop=should_stop,
        )  # fmt: skip
        search.run(state.select(np.array([sentence])), budget=budget, batch=batch)
        found.append(search.result())
    return found


class _Search(Generic[J]):
    """The search for one sentence."""

    def __init__(
        self,
        step: Step[J],
        limits: Limits,
        sentence: int,
        first: list[Hypothesis],
        ranking: Ranking,
        *,
        n_best: int,
        align: bool,
        should_stop: ShouldStop | None,
    ) -> None:
        self._step, self._limits, self._sentence, self._ranking = step, limits, sentence, ranking
        self._max_length = limits.max_lengths[sentence]
        self._n_best, self._align = n_best, align
        self._should_stop = should_stop
        self._keeps_attention = align or ranking.coverage_penalty > 0
        self._best = {tuple(h.tokens): h for h in first}
        self._rules: Rules | None = None
        self._used = 0  # hypotheses extended
        self._lost = -math.inf  # the bound of what was not kept
        # (-bound, order, hypothesis, number of its child)
        self._frontier: list[tuple[float, int, _Node[J], int]] = []
        self._order = count()
        self._worst = self._score_to_beat()

    def run(self, state: J, *, budget: int, batch: int) -> None:
        """Extend hypotheses until nothing can be better, or the budget is used."""
        last = np.array([self._limits.bos_id])
        self._extend(state, last, [(None, self._limits.bos_id, 0.0)])
        while self._used < budget and self._frontier and -self._frontier[0][0] > self._worst:
            grown = self._pop(min(batch, budget - self._used))
            parents: defaultdict[_Block[J], list[tuple[_Node[J], int]]] = defaultdict(list)
            for node, child in grown:
                parents[node.block].append((node, child))
            states = [
                block.state.select(np.array([node.row for node, _ in own]))
                for block, own in parents.items()
            ]
            ordered = [pair for own in parents.values() for pair in own]
            last = np.array([int(node.tokens[child]) for node, child in ordered])
            before = states[0].join(states[1:]) if len(states) > 1 else states[0]
            self._extend(
                before,
                last,
                [(n, int(n.tokens[child]), float(n.log_probs[child])) for n, child in ordered],
            )

    def result(self) -> list[Hypothesis]:
        """The best hypotheses found, and whether they are proved best."""
        ranked = sorted(self._best.values(), key=lambda h: (-h.score, h.tokens))[: self._n_best]
        missed = max(self._lost, -self._frontier[0][0] if self._frontier else -math.inf)
        certified = missed <= self._worst
        bound = ranked[0].score if certified else max(missed, ranked[0].score)
        return [replace(h, certified=certified, bound=bound, extended=self._used) for h in ranked]

    def _pop(self, most: int) -> list[tuple[_Node[J], int]]:
        """The most promising hypotheses not yet extended, as children of those that were."""
        popped: list[tuple[_Node[J], int]] = []
        while len(popped) < most and self._frontier and -self._frontier[0][0] > self._worst:
            _, _, node, child = heapq.heappop(self._frontier)
            popped.append((node, child))
            self._push(node, child + 1)  # its next sibling takes its place
        return popped

    def _push(self, node: _Node[J], child: int) -> None:
        if child < len(node.tokens):
            entry = (-float(node.bounds[child]), next(self._order), node, child)
            heapq.heappush(self._frontier, entry)

    def _extend(
        self, state: J, last: Ints, grown: Sequence[tuple[_Node[J] | None, int, float]]
    ) -> None:
        """Take one step from some hypotheses: finish each, and rank its children."""
        check_stop(self._should_stop)
        self._used += len(grown)
        output = self._step(last, state, top=0)
        log_probs = output.log_probs
        self._limits.block(log_probs)
        if self._rules is None:
            self._rules = Rules(self._limits, log_probs.shape[1])
        rules = self._rules
        states = [self._constraints(parent, token) for parent, token, _ in grown]
        lengths = [0 if parent is None else parent.length + 1 for parent, _, _ in grown]
        at_limit = [length == self._max_length for length in lengths]
        wanted: list[int] = log_probs.argmax(-1).tolist()
        rules.restrict(log_probs, [s for s in states if s is not None], at_limit)
        block = _Block(output.state, output.attention if self._keeps_attention else None)
        eos = self._limits.eos_id
        for row, (parent, token, log_prob) in enumerate(grown):
            total = log_prob if parent is None else parent.total + log_prob
            length = lengths[row]
            values = log_probs[row].astype(np.float64)
            ending, values[eos] = float(values[eos]), -np.inf
            node = self._node(parent, token, log_prob, total, block, row, states[row], values)
            if ending > -math.inf:
                free = length < self._max_length or wanted[row] == eos
                self._offer(node, ending, finished=free)
            self._push(node, 0)

    def _constraints(self, parent: _Node[J] | None, token: int) -> ConstraintState | None:
        assert self._rules is not None
        if self._rules.are_plain:
            return None
        if parent is None:
            return self._rules.start()[self._sentence]
        assert parent.constraints is not None
        return self._rules.extend(parent.constraints, token)

    def _node(
        self,
        parent: _Node[J] | None,
        token: int,
        log_prob: float,
        total: float,
        block: _Block[J],
        row: int,
        constraints: ConstraintState | None,
        values: Floats,
    ) -> _Node[J]:
        """The extended hypothesis with its children that can still be among the best."""
        length = 0 if parent is None else parent.length + 1
        possible = np.flatnonzero(values > -np.inf)
        limits = np.full(len(possible), self._max_length)
        bounds = self._ranking.bounds(total + values[possible], length + 1, limits)
        useful = bounds > self._worst
        possible, bounds = possible[useful], bounds[useful]
        order = np.argsort(-bounds, kind="stable")
        if len(order) > _MOST_CHILDREN:
            self._lost = max(self._lost, float(bounds[order[_MOST_CHILDREN]]))
            order = order[:_MOST_CHILDREN]
        tokens = possible[order]
        return _Node(
            parent, token, log_prob, total, length, block, row, constraints,
            tokens, values[tokens], bounds[order],
        )  # fmt: skip

    def _offer(self, node: _Node[J], ending: float, *, finished: bool) -> None:
        """Finish a hypothesis, and keep it if it is among the best."""
        total, length = node.total + ending, node.length + 1
        score = self._ranking.score(total, length)
        if score <= self._worst:  # coverage only takes away
            return
        tokens, log_probs, attention = _trace(node)
        if self._ranking.coverage_penalty > 0 and attention is not None:
            source_length = self._limits.source_length(self._sentence)
            score = self._ranking.score(total, length, covered(attention, source_length))
        aligned = attention[:-1] if self._align and tokens and attention is not None else None
        self._best[tuple(tokens)] = Hypothesis(
            tokens=tokens,
            score=score,
            log_probability=total,
            token_log_probabilities=[*log_probs, ending],
            finished=finished,
            alignment=aligned,
        )
        self._worst = self._score_to_beat()

    def _score_to_beat(self) -> float:
        """The score of the n-th best found; the others are dropped."""
        ranked = sorted(self._best.values(), key=lambda h: (-h.score, h.tokens))[: self._n_best]
        self._best = {tuple(h.tokens): h for h in ranked}
        return ranked[-1].score if len(ranked) == self._n_best else -math.inf


def _trace(node: _Node[J]) -> tuple[list[int], list[float], Singles | None]:
    """Tokens, log-probabilities and attention of a hypothesis, the step after it last."""
    tokens: list[int] = []
    log_probs: list[float] = []
    attention: list[Singles] = []
    at: _Node[J] | None = node
    while at is not None:
        if at.block.attention is not None:
            attention.append(at.block.attention[at.row])
        if at.parent is not None:
            tokens.append(at.token)
            log_probs.append(at.log_prob)
        at = at.parent
    stacked = np.stack(attention[::-1]) if attention else None
    return tokens[::-1], log_probs[::-1], stacked
