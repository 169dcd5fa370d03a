# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# (torch gives some of its methods no types: what comes of them is declared)
"""The beginnings that a beam search keeps: chosen, extended, ended, traced back at the end.

A beginning is a row of the step's batch. What a step adds (parent, token, log-probability) is kept
as arrays a step; tokens are read back along the parents only for what has ended.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from penstock.search.hypothesis import Hypothesis
from penstock.search.ranking import Floats, Ints, Ranking, covered
from penstock.search.rules import Rules, Track
from penstock.search.top import top_tokens
from penstock.search.trace import Candidate, Watch, fallen_out


@dataclass(frozen=True, slots=True)
class _Step:
    """What one step added to the rows that went on, and the attention of all that it had."""

    parents: Ints  # rows of the step before
    tokens: Ints
    log_probs: Floats
    weights: Tensor | None  # of the rows that the step was taken from


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Beginnings with one more token, (n,) each, a beam's one after another, best first."""

    beams: Ints
    rows: Ints
    tokens: Ints
    log_probs: Floats
    totals: Floats

    def select(self, chosen: NDArray[np.bool_] | Ints) -> _Candidates:
        return _Candidates(
            self.beams[chosen],
            self.rows[chosen],
            self.tokens[chosen],
            self.log_probs[chosen],
            self.totals[chosen],
        )


class Beginnings:
    """The beams of B sentences, `groups` a sentence, each of `beam_size` places."""

    def __init__(
        self,
        rules: Rules,
        ranking: Ranking,
        *,
        beam_size: int,
        groups: int,
        n_best: int,
        diversity: float,
        align: bool,
        watch: Watch | None = None,
    ) -> None:
        self._rules, self._limits, self._ranking = rules, rules.limits, ranking
        self._beam_size, self._groups, self._n_best = beam_size, groups, n_best
        self._diversity = diversity
        self._align = align
        self._keeps_attention = align or ranking.coverage_penalty > 0
        self._watch = watch
        sentences = len(self._limits.max_lengths)
        self._count = sentences * groups
        self._max_lengths = np.repeat(np.array(self._limits.max_lengths, dtype=np.int64), groups)
        self._places = np.full(self._count, beam_size)
        self._ended: list[list[Hypothesis]] = [[] for _ in range(self._count)]
        self._worst = np.full(self._count, -np.inf)  # score of the n-th best that has ended
        self._beams: Ints = np.arange(self._count)  # of the living rows, ascending
        self._totals: Floats = np.zeros(self._count)
        self._tracks: list[Track] = [t for t in rules.start() for _ in range(groups)]
        self._steps: list[_Step] = []
        self._alive = set(range(sentences))

    def advance(self, log_probs: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        """Choose what each beam goes on with.

        Args:
            log_probs: (N, V) of the living rows.
            weights: their attention (N, S), or None.

        Returns:
            For each new row the row that it grew from, and its token; on the device of
            `log_probs`.
        """
        at_limit = self._max_lengths[self._beams] == len(self._steps)
        wanted: list[bool] | None = None
        if at_limit.any():  # before EOS is all that is left: what the model wanted
            wanted = (log_probs.argmax(-1) == self._limits.eos_id).tolist()
        self._rules.restrict(log_probs, self._tracks, at_limit.tolist())
        chosen = self._choose(log_probs)
        ending = chosen.tokens == self._limits.eos_id
        kept_weights = weights if self._keeps_attention else None
        scores = self._end(chosen.select(ending), at_limit, wanted, kept_weights)
        going = chosen.select(~ending)
        alive = ~self._done(going)[going.beams]
        if self._watch is not None:
            self._watch(self._compared(log_probs, chosen, ending, alive, scores))
        going = going.select(alive)
        if self._tracks:
            pairs = zip(going.rows.tolist(), going.tokens.tolist(), strict=True)
            self._tracks = [self._rules.grow(self._tracks[row], token) for row, token in pairs]
        self._steps.append(_Step(going.rows, going.tokens, going.log_probs, kept_weights))
        self._beams, self._totals = going.beams, going.totals
        device = log_probs.device
        return torch.from_numpy(going.rows).to(device), torch.from_numpy(going.tokens).to(device)

    def best_of(self, sentence: int) -> list[Hypothesis]:
        """The best hypotheses of a sentence's beams, best first, no output twice."""
        first = sentence * self._groups
        ended = [h for own in self._ended[first : first + self._groups] for h in own]
        different: dict[tuple[int, ...], Hypothesis] = {}
        for hypothesis in sorted(ended, key=lambda h: -h.score):
            different.setdefault(tuple(hypothesis.tokens), hypothesis)
        return list(different.values())[: self._n_best]

    def newly_done(self) -> list[int]:
        """Sentences that have no living beginning left since this was asked the last time."""
        alive = set((self._beams // self._groups).tolist())
        done = sorted(self._alive - alive)
        self._alive = alive
        return done

    # choosing

    def _choose(self, log_probs: Tensor) -> _Candidates:
        """For every beam its best candidates, as many as it has places."""
        if self._groups == 1 or self._diversity == 0:
            return self._fill(log_probs, np.arange(len(self._beams)), None)
        taken = np.zeros((self._count // self._groups, log_probs.shape[1]), dtype=np.float32)
        parts: list[_Candidates] = []
        for group in range(self._groups):
            rows = np.flatnonzero(self._beams % self._groups == group)
            sentences = self._beams[rows] // self._groups
            cost = torch.from_numpy(taken[sentences] * self._diversity).to(log_probs.device)
            part = self._fill(log_probs[torch.from_numpy(rows)], rows, cost)
            np.add.at(taken, (part.beams // self._groups, part.tokens), 1)
            parts.append(part)
        order = np.argsort(np.concatenate([part.beams for part in parts]), kind="stable")
        joined = [np.concatenate(c) for c in zip(*map(_columns, parts), strict=True)]
        return _Candidates(*joined).select(order)

    def _fill(self, log_probs: Tensor, rows: Ints, cost: Tensor | None) -> _Candidates:
        """The best candidates of the beams that the given rows belong to.

        Args:
            log_probs: (n, V) of these rows.
            rows: (n,) their numbers.
            cost: (n, V) what the choice, and only it, takes off each token; None: nothing.
        """
        width = min(self._beam_size, log_probs.shape[1])
        if cost is None:
            values, ids = top_tokens(log_probs, width)
            ranked = true = values.cpu().numpy().astype(np.float64)  # (n, W)
        else:
            values, ids = top_tokens(log_probs - cost, width)
            ranked = values.cpu().numpy().astype(np.float64)
            true = log_probs.gather(1, ids).cpu().numpy().astype(np.float64)
        tokens: Ints = ids.cpu().numpy()
        beams, totals = self._beams[rows], self._totals[rows]
        sums = ranked + totals[:, None]
        # each beam's candidates side by side, padded to the largest beam
        active, first, counts = np.unique(beams, return_index=True, return_counts=True)
        most = int(counts.max(initial=1))
        which = np.repeat(np.arange(len(active)), counts)
        place = np.arange(len(rows)) - first[which]
        table = np.full((len(active), most, width), -np.inf)
        table[which, place] = sums
        flat = table.reshape(len(active), most * width)
        # stable: of equal totals the earlier row first, then the likelier token
        order = np.argsort(-flat, axis=1, kind="stable")[:, : self._beam_size]
        beam, rank = np.nonzero(
            (np.take_along_axis(flat, order, 1) > -np.inf)
            & (np.arange(order.shape[1]) < self._places[active][:, None])
        )
        picked = order[beam, rank]
        row, choice = first[beam] + picked // width, picked % width
        chosen = _Candidates(
            active[beam],
            rows[row],
            tokens[row, choice],
            true[row, choice],
            true[row, choice] + totals[row],
        )
        for beam_number in active.tolist():
            if self._rules.has_required(beam_number // self._groups):
                chosen = self._share(chosen, beam_number, log_probs, rows, cost)
        return chosen

    def _share(
        self,
        chosen: _Candidates,
        beam: int,
        log_probs: Tensor,
        rows: Ints,
        cost: Tensor | None,
    ) -> _Candidates:
        """Choose one beam's candidates anew, turn about among those equally far with phrases."""
        found: list[tuple[float, int, int, int, float]] = []
        for i in np.flatnonzero(self._beams[rows] == beam).tolist():
            row = int(rows[i])
            track = self._tracks[row]
            ranked = log_probs[i] if cost is None else log_probs[i] - cost[i]
            ids = top_tokens(ranked[None], min(self._beam_size, len(ranked)))[1][0].tolist()
            for token in dict.fromkeys([*ids, *self._rules.advancing(track)]):
                value = float(log_probs[i, token])
                if value == -math.inf:
                    continue
                needed = self._rules.needed_after(track, token)
                found.append((float(ranked[token]) + self._totals[row], row, token, needed, value))
        found.sort(key=lambda c: (-c[0], c[1], c[2]))
        banks: dict[int, list[tuple[float, int, int, int, float]]] = {}
        for candidate in found:
            # a single place follows probability, as greedy search does
            banks.setdefault(candidate[3] if self._beam_size > 1 else 0, []).append(candidate)
        places = int(self._places[beam])
        order = [banks[needed] for needed in sorted(banks)]  # the furthest first
        turns = [bank[i] for i in range(places) for bank in order if i < len(bank)]
        turns = sorted(turns[:places], key=lambda c: (-c[0], c[1], c[2]))
        own = _Candidates(
            np.full(len(turns), beam),
            np.array([c[1] for c in turns], dtype=np.int64),
            np.array([c[2] for c in turns], dtype=np.int64),
            np.array([c[4] for c in turns]),
            np.array([c[4] + self._totals[c[1]] for c in turns]),
        )
        others = [chosen.select(chosen.beams < beam), own, chosen.select(chosen.beams > beam)]
        return _Candidates(*(np.concatenate(c) for c in zip(*map(_columns, others), strict=True)))

    # ending

    def _end(
        self,
        ending: _Candidates,
        at_limit: NDArray[np.bool_],
        wanted: list[bool] | None,
        weights: Tensor | None,
    ) -> list[float]:
        """Keep what has ended; it keeps its place in the beam. Returns its scores."""
        length = len(self._steps) + 1
        scores = self._ranking.scores(ending.totals, length)
        final: list[float] = []
        for i, (beam, row) in enumerate(
            zip(ending.beams.tolist(), ending.rows.tolist(), strict=True)
        ):
            tokens, log_probs, attention = self._trace(row, weights)
            total, score = float(ending.totals[i]), float(scores[i])
            if self._ranking.coverage_penalty > 0 and attention is not None:
                source_length = self._limits.source_length(beam // self._groups)
                score = self._ranking.score(total, length, covered(attention, source_length))
            final.append(score)
            # the step that emitted EOS is no token's
            aligned = attention[:-1] if self._align and tokens and attention is not None else None
            own = self._ended[beam]
            own.append(
                Hypothesis(
                    tokens=tokens,
                    score=score,
                    log_probability=total,
                    token_log_probabilities=[*log_probs, float(ending.log_probs[i])],
                    finished=wanted is None or not at_limit[row] or wanted[row],
                    alignment=aligned,
                )
            )
            self._places[beam] -= 1
            if len(own) >= self._n_best:
                kept = sorted((h.score for h in own), reverse=True)
                self._worst[beam] = kept[self._n_best - 1]
        return final

    def _done(self, going: _Candidates) -> NDArray[np.bool_]:
        """For each beam whether nothing alive can enter its best."""
        bounds = self._ranking.bounds(
            going.totals, len(self._steps) + 1, self._max_lengths[going.beams]
        )
        best = np.full(self._count, -np.inf)
        np.maximum.at(best, going.beams, bounds)
        return self._worst >= best

    def _compared(
        self,
        log_probs: Tensor,
        chosen: _Candidates,
        ending: NDArray[np.bool_],
        alive: NDArray[np.bool_],
        scores: Sequence[float],
    ) -> list[Candidate]:
        """All candidates of a step, for who watches.

        Args:
            log_probs: (N, V) as the choice saw them.
            chosen: what has a place in a beam.
            ending: for each of these whether it ends.
            alive: for each that does not end whether the next step extends it.
            scores: of those that end.
        """
        became: list[int | None] = [None] * len(ending)
        for row, place in enumerate(np.flatnonzero(~ending)[alive].tolist()):
            became[place] = row
        ended: list[float | None] = [None] * len(ending)
        for place, score in zip(np.flatnonzero(ending).tolist(), scores, strict=True):
            ended[place] = score
        fields = (chosen.beams // self._groups, *_columns(chosen)[1:])
        columns = [*(column.tolist() for column in fields), became, ended]
        found = [Candidate(*values) for values in zip(*columns, strict=True)]
        sentences: list[int] = (self._beams // self._groups).tolist()
        totals: list[float] = self._totals.tolist()
        return found + fallen_out(log_probs, sentences, totals, found, count=self._beam_size)

    def _trace(
        self, row: int, weights: Tensor | None
    ) -> tuple[list[int], list[float], Tensor | None]:
        """Tokens, log-probabilities and attention of a row's whole past, EOS's step last."""
        tokens: list[int] = []
        log_probs: list[float] = []
        attention = [] if weights is None else [weights[row]]
        for step in reversed(self._steps):
            tokens.append(int(step.tokens[row]))
            log_probs.append(float(step.log_probs[row]))
            row = int(step.parents[row])
            if step.weights is not None:
                attention.append(step.weights[row])
        stacked = torch.stack(attention[::-1]) if attention else None
        return tokens[::-1], log_probs[::-1], stacked


def _columns(candidates: _Candidates) -> tuple[Ints, Ints, Ints, Floats, Floats]:
    c = candidates
    return c.beams, c.rows, c.tokens, c.log_probs, c.totals
