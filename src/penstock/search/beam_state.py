"""The partial and finished hypotheses of a beam search.

A partial hypothesis is a row of the step's batch. What a step adds (parent, token, log-probability)
is kept in arrays per step; tokens are read back along the parents only for the outputs returned.

Over 350 lines, because choosing, extending and ending read and write the same arrays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.search.expansion import Expansions, best_of_beams, layout_of
from penstock.search.hypothesis import Hypothesis
from penstock.search.limits import Limits
from penstock.search.ranking import Ranking, covered
from penstock.search.rules import ConstraintState, Rules
from penstock.search.step import Floats, Ints, Singles
from penstock.search.top import top_tokens
from penstock.search.trace import Candidate, SearchTrace, pruned


class _Step(NamedTuple):
    """What a step added to the rows that went on, and the attention of all rows that it had."""

    parents: Ints  # rows of the step before
    tokens: Ints
    log_probs: Singles
    attention: Singles | None


class _Finished(NamedTuple):
    """An output, as the step and row that EOS followed."""

    score: float
    total: float
    log_prob: float  # of EOS
    length: int  # steps before
    row: int
    wanted: bool


class BeamState:
    """The beams of B sentences, `groups` per sentence, each of `beam_size` slots.

    A finished hypothesis still occupies a slot.
    """

    def __init__(
        self,
        limits: Limits,
        ranking: Ranking,
        *,
        beam_size: int,
        groups: int,
        n_best: int,
        diversity: float,
        align: bool,
        trace: SearchTrace | None = None,
    ) -> None:
        self._limits, self._ranking = limits, ranking
        self._beam_size, self._groups, self._n_best = beam_size, groups, n_best
        self._diversity = diversity if groups > 1 else 0.0
        self._align = align
        self._keeps_attention = align or ranking.coverage_penalty > 0
        self._trace = trace
        count = len(limits.max_lengths) * groups
        self._max_lengths = np.repeat(np.array(limits.max_lengths, dtype=np.int64), groups)
        self._slots = np.full(count, beam_size)
        self._finished: list[list[_Finished]] = [[] for _ in range(count)]
        self._worst = np.full(count, -np.inf)  # score of the n-th best finished one
        self._has_finished = False
        self._top = np.full(count, -np.inf)  # score of the best finished one
        self._margins = np.full(count, np.nan)  # of it above the rest, once it is decided
        self._beams: Ints = np.arange(count)  # of the rows, ascending
        self._layout = layout_of(self._beams)
        self._totals: Floats = np.zeros(count)
        self._rules: Rules | None = None
        self._states: list[ConstraintState] = []
        self._steps: list[_Step] = []
        self._alive = set(range(len(limits.max_lengths)))
        self._is_plain = limits.are_plain and not self._diversity and trace is None
        self._next_limit = min(limits.max_lengths, default=0)

    @property
    def top(self) -> int:
        """Candidates that the next step must give per row; 0: all tokens."""
        if not self._is_plain or len(self._steps) >= self._next_limit:
            return 0
        return self._beam_size + len(self._limits.blocked)

    def advance(
        self, log_probs: Singles, ids: Ints | None, attention: Singles | None
    ) -> tuple[Ints, Ints]:
        """Choose the hypotheses that each beam keeps.

        Args:
            log_probs: (N, K) of the rows' candidates, or (N, V); overwritten.
            ids: (N, K) of the candidates, or None.
            attention: (N, S), or None.

        Returns:
            For each new row the row that it extends, and its token.
        """
        length = len(self._steps)
        kept_attention = attention if self._keeps_attention else None
        wanted: NDArray[np.bool_] | None = None
        if ids is not None:
            self._limits.block(log_probs, ids)
            chosen = self._best(log_probs, ids)
        elif self._is_plain:
            values, ids, wanted = self._candidates(log_probs)
            chosen = self._best(values, ids)
        else:
            wanted = self._restrict(log_probs)
            chosen = self._choose(log_probs)
        ending = chosen.tokens == self._limits.eos_id
        scores: list[float] = []
        going = chosen
        if np.count_nonzero(ending):
            scores = self._finish(chosen.select(ending), wanted, kept_attention)
            going = chosen.select(~ending)
        alive = self._undecided(going)
        if self._trace is not None:
            self._trace.steps.append(self._compared(log_probs, chosen, ending, alive, scores))
        going = going if alive is None else going.select(alive)
        if self._states:
            assert self._rules is not None
            rows: list[int] = going.rows.tolist()
            tokens: list[int] = going.tokens.tolist()
            self._states = [
                self._rules.extend(self._states[row], token)
                for row, token in zip(rows, tokens, strict=True)
            ]
        self._steps.append(_Step(going.rows, going.tokens, going.log_probs, kept_attention))
        several = len(self._layout.beams) > 1
        if len(going.beams) != len(self._beams) or (several and (going.beams != self._beams).any()):
            self._beams = going.beams
            self._layout = layout_of(going.beams)
        if length + 1 >= self._next_limit and len(going.beams):
            self._next_limit = int(self._max_lengths[self._beams].min())
        self._totals = going.totals
        return going.rows, going.tokens

    def best_of(self, sentence: int) -> list[Hypothesis]:
        """The best hypotheses of a sentence's beams, best first, no output twice."""
        first = sentence * self._groups
        finished = [f for own in self._finished[first : first + self._groups] for f in own]
        different: dict[tuple[int, ...], Hypothesis] = {}
        for each in sorted(finished, key=lambda f: -f.score):
            if len(different) < self._n_best:
                hypothesis = self._hypothesis(each)
                different.setdefault(tuple(hypothesis.tokens), hypothesis)
        found = list(different.values())
        if found and self._groups == 1 < self._beam_size:
            margin = float(self._margins[sentence])
            margin = self._margin(sentence) if math.isnan(margin) else margin
            found[0] = replace(found[0], margin=margin)
        return found

    def newly_done(self) -> list[int]:
        """Sentences whose last partial hypothesis has gone since the last call."""
        if len(self._layout.beams) == len(self._alive) * self._groups:
            return []
        alive = set((self._layout.beams // self._groups).tolist())
        done = sorted(self._alive - alive)
        self._alive = alive
        return done

    # choosing

    def _restrict(self, log_probs: Singles) -> NDArray[np.bool_] | None:
        """Set what must not follow to -inf.

        Returns:
            For each row whether its hypothesis, if it ends here, does so by the model's choice;
            None: all do.
        """
        self._limits.block(log_probs)
        if self._rules is None:
            self._rules = Rules(self._limits, log_probs.shape[1])
            self._states = [s for s in self._rules.start() for _ in range(self._groups)]
        at_limit = self._max_lengths[self._beams] == len(self._steps)
        wanted = None
        if at_limit.any():  # before EOS is all that is left
            wanted = ~at_limit | (log_probs.argmax(-1) == self._limits.eos_id)
        self._rules.restrict(log_probs, self._states, at_limit)
        return wanted

    def _candidates(self, log_probs: Singles) -> tuple[Singles, Ints, NDArray[np.bool_] | None]:
        """What may follow each row by plain limits: EOS at the greatest length, else any token.

        Returns:
            (N, K) values and ids; `wanted` as from `_restrict`.
        """
        self._limits.block(log_probs)
        eos_id, count = self._limits.eos_id, min(self._beam_size, log_probs.shape[1])
        at_limit = self._max_lengths[self._beams] == len(self._steps)
        if not at_limit.any():
            return *top_tokens(log_probs, count), None
        ids = np.full((len(log_probs), count), eos_id)
        values = np.full(ids.shape, -np.inf, np.float32)
        values[:, 0] = log_probs[:, eos_id]
        free = np.flatnonzero(~at_limit)
        values[free], ids[free] = top_tokens(log_probs[free], count)
        return values, ids, ~at_limit | (log_probs.argmax(-1) == eos_id)

    def _best(self, log_probs: Singles, ids: Ints) -> Expansions:
        layout, slots = self._layout, self._slots[self._layout.beams]
        most = self._beam_size
        return best_of_beams(layout, self._totals, log_probs, ids, slots, most=most)

    def _choose(self, log_probs: Singles) -> Expansions:
        """For every beam its best expansions, as many as it has slots; from all tokens (N, V)."""
        if not self._diversity:
            return self._fill(log_probs, np.arange(len(self._beams)), None)
        sentences = len(self._limits.max_lengths)
        taken = np.zeros((sentences, log_probs.shape[1]), dtype=np.float32)
        found: list[Expansions] = []
        for group in range(self._groups):
            rows = np.flatnonzero(self._beams % self._groups == group)
            cost = taken[self._beams[rows] // self._groups] * self._diversity
            own = self._fill(log_probs[rows], rows, cost)
            np.add.at(taken, (own.beams // self._groups, own.tokens), 1)
            found.append(own)
        joined = Expansions.concatenate(found)
        return joined.select(joined.beams.argsort(kind="stable"))

    def _fill(self, log_probs: Singles, rows: Ints, cost: Singles | None) -> Expansions:
        """The best expansions of the beams that some rows belong to.

        Args:
            log_probs: (n, V) of these rows.
            rows: (n,) their numbers.
            cost: (n, V) what a token costs in the choice, and only there; None: nothing.
        """
        ranked = log_probs if cost is None else log_probs - cost
        values, ids = top_tokens(ranked, min(self._beam_size, log_probs.shape[1]))
        own = values if cost is None else np.take_along_axis(log_probs, ids, 1)
        layout = layout_of(self._beams[rows])
        chosen = best_of_beams(
            layout, self._totals[rows], own, ids, self._slots[layout.beams],
            most=self._beam_size, ranked_by=values,
        )  # fmt: skip
        chosen = chosen._replace(rows=rows[chosen.rows])
        assert self._rules is not None
        for beam in layout.beams.tolist():
            if self._rules.has_required(beam // self._groups):
                shared = self._share(beam, log_probs, ranked, rows)
                before, behind = chosen.beams < beam, chosen.beams > beam
                chosen = Expansions.concatenate(
                    [chosen.select(before), shared, chosen.select(behind)]
                )
        return chosen

    def _share(self, beam: int, log_probs: Singles, ranked: Singles, rows: Ints) -> Expansions:
        """Share a beam's slots among hypotheses that are equally far with their phrases."""
        assert self._rules is not None
        found: list[tuple[float, int, int, int, float]] = []
        for i in np.flatnonzero(self._beams[rows] == beam).tolist():
            row = int(rows[i])
            state = self._states[row]
            ids = top_tokens(ranked[i : i + 1], min(self._beam_size, ranked.shape[1]))[1][0]
            for token in dict.fromkeys([*ids.tolist(), *self._rules.advancing(state)]):
                value = float(log_probs[i, token])
                if value == -np.inf:
                    continue
                needed = self._rules.needed_after(state, token)
                rank = float(ranked[i, token]) + float(self._totals[row])
                found.append((rank, row, token, needed, value))
        found.sort(key=lambda c: (-c[0], c[1], c[2]))
        banks: dict[int, list[tuple[float, int, int, int, float]]] = {}
        for candidate in found:
            # a single slot follows probability, as greedy search does
            banks.setdefault(candidate[3] if self._beam_size > 1 else 0, []).append(candidate)
        slots = int(self._slots[beam])
        order = [banks[needed] for needed in sorted(banks)]  # the furthest first
        turns = [bank[i] for i in range(slots) for bank in order if i < len(bank)]
        turns = sorted(turns[:slots], key=lambda c: (-c[0], c[1], c[2]))
        chosen = np.array([c[1] for c in turns], dtype=np.int64)
        added = np.array([c[4] for c in turns], dtype=np.float32)
        return Expansions(
            np.full(len(turns), beam),
            chosen,
            np.array([c[2] for c in turns], dtype=np.int64),
            added,
            self._totals[chosen] + added,
        )

    # finishing

    def _finish(
        self, ending: Expansions, wanted: NDArray[np.bool_] | None, attention: Singles | None
    ) -> list[float]:
        """Keep the finished hypotheses; returns their scores."""
        steps = len(self._steps)
        scores: list[float] = self._ranking.scores(ending.totals, steps + 1).tolist()
        beams: list[int] = ending.beams.tolist()
        rows: list[int] = ending.rows.tolist()
        log_probs: list[float] = ending.log_probs.tolist()
        totals: list[float] = ending.totals.tolist()
        for i, (beam, row, log_prob, total) in enumerate(
            zip(beams, rows, log_probs, totals, strict=True)
        ):
            if self._ranking.coverage_penalty > 0 and attention is not None:
                read = self._attention(steps, row, attention)
                source_length = self._limits.source_length(beam // self._groups)
                scores[i] = self._ranking.score(total, steps + 1, covered(read, source_length))
            own = self._finished[beam]
            by_choice = wanted is None or bool(wanted[row])
            own.append(_Finished(scores[i], total, log_prob, steps, row, by_choice))
            self._slots[beam] -= 1
            self._top[beam] = max(self._top[beam], scores[i])
            self._has_finished = True
            if len(own) >= self._n_best:
                self._worst[beam] = sorted((f.score for f in own), reverse=True)[self._n_best - 1]
        return scores

    def _undecided(self, going: Expansions) -> NDArray[np.bool_] | None:
        """For each hypothesis whether its beam can still improve; None: all can."""
        if not self._has_finished or not len(going.beams):
            return None
        beams = going.beams
        limits = self._max_lengths[beams]
        bounds = self._ranking.bounds(going.totals, len(self._steps) + 1, limits)
        best = np.full(len(self._worst), -np.inf)
        np.maximum.at(best, beams, bounds)
        decided = (self._top >= best) & np.isnan(self._margins) & (best > -np.inf)
        for beam in np.flatnonzero(decided).tolist():
            self._margins[beam] = self._margin(beam, float(going.totals[beams == beam].max()))
        return (self._worst < best)[beams]

    def _margin(self, beam: int, next_total: float = -np.inf) -> float:
        """Log-probability of the best finished hypothesis above the others, and above one."""
        finished = sorted(self._finished[beam], key=lambda f: -f.score)
        return finished[0].total - max(next_total, *(f.total for f in finished[1:]), -np.inf)

    def _compared(
        self,
        log_probs: Singles,
        chosen: Expansions,
        ending: NDArray[np.bool_],
        alive: NDArray[np.bool_] | None,
        scores: Sequence[float],
    ) -> list[Candidate]:
        """All candidates of a step.

        Args:
            log_probs: (N, V) as the choice saw them.
            chosen: what has a slot in a beam.
            ending: for each of these whether it is finished.
            alive: for each that is not whether the next step extends it; None: all.
            scores: of the finished ones.
        """
        became: list[int | None] = [None] * len(ending)
        going = np.flatnonzero(~ending)
        for row, index in enumerate((going if alive is None else going[alive]).tolist()):
            became[index] = row
        finished: list[float | None] = [None] * len(ending)
        for index, score in zip(np.flatnonzero(ending).tolist(), scores, strict=True):
            finished[index] = score
        fields = (chosen.beams // self._groups, *chosen[1:])
        columns = [*(column.tolist() for column in fields), became, finished]
        found = [Candidate(*values) for values in zip(*columns, strict=True)]
        sentences: list[int] = (self._beams // self._groups).tolist()
        totals: list[float] = self._totals.tolist()
        return found + pruned(log_probs, sentences, totals, found, count=self._beam_size)

    def _hypothesis(self, finished: _Finished) -> Hypothesis:
        tokens: list[int] = []
        log_probs = [finished.log_prob]
        row = finished.row
        for step in reversed(self._steps[: finished.length]):
            tokens.append(int(step.tokens[row]))
            log_probs.append(float(step.log_probs[row]))
            row = int(step.parents[row])
        alignment: Singles | None = None
        if self._align and tokens:
            last = self._steps[finished.length - 1]
            parent = int(last.parents[finished.row])
            if last.attention is not None:  # the step that emitted EOS belongs to no token
                alignment = self._attention(finished.length - 1, parent, last.attention)
        return Hypothesis(
            tokens=tokens[::-1],
            score=finished.score,
            log_probability=finished.total,
            token_log_probabilities=log_probs[::-1],
            finished=finished.wanted,
            alignment=alignment,
        )

    def _attention(self, step: int, row: int, attention: Singles) -> Singles:
        """Attention (T, S) of a row's steps, up to one with the given attention."""
        rows = [attention[row]]
        for before in reversed(self._steps[:step]):
            row = int(before.parents[row])
            assert before.attention is not None
            rows.append(before.attention[row])
        return np.stack(rows[::-1])
