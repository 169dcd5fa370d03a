"""Beam search on the model's device: a step of fixed shape, and candidates chosen where they are.

It finds what `penstock.search.beam_search` finds, with the same scores, where limits are plain. A
sentence has all slots of its beam in every step, those without a hypothesis at a log-probability of
-inf. Nothing waits for the host, which looks every few steps whether all sentences are done, so on
a GPU these steps are one CUDA graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penstock.nn.products import batch_invariant_rows
from penstock.nn.state import Memory, State
from penstock.runtime.decoder_step import DecodingState
from penstock.runtime.engine import require_numbers
from penstock.runtime.torch_cuda_graphs import Repeater
from penstock.runtime.torch_engine import InferenceModel, Places
from penstock.runtime.torch_top import top_tokens
from penstock.search import Hypothesis, Limits, Ranking, ShouldStop
from penstock.search.cancellation import check_stop
from penstock.search.hypothesis import require_found
from penstock.special_tokens import PAD_ID

_STEPS = 8  # between two looks at what is done
_MOST_SHAPES = 16  # each has buffers and a graph


class DeviceSearch:
    """Beam searches with one model.

    Args:
        model: on its device.
        repeat: replays steps; None: they are computed one by one.
    """

    def __init__(self, model: InferenceModel, repeat: Repeater | None = None) -> None:
        self._model, self._repeat = model, repeat
        self._unused: dict[object, _Beams] = {}

    @torch.no_grad()
    def __call__(
        self,
        state: DecodingState,
        limits: Limits,
        *,
        beam_size: int,
        n_best: int,
        ranking: Ranking,
        should_stop: ShouldStop | None = None,
    ) -> list[list[Hypothesis]]:
        """Search all sentences together; see `penstock.search.beam_search` for the arguments.

        Limits must be plain, and the ranking without a reward and a coverage penalty.

        Raises:
            SearchStoppedError: cancelled by `should_stop`.
        """
        if not limits.max_lengths:
            return []
        steps = -(-(max(limits.max_lengths) + 1) // (4 * _STEPS)) * 4 * _STEPS
        key = (len(limits.max_lengths), state.memory.mask.shape[1], steps, beam_size, n_best,
               limits.blocked, limits.eos_id)  # fmt: skip
        # searches may run side by side, and `should_stop` may run another in between
        beams = self._unused.pop(key, None)
        if beams is None:
            beams = _Beams(self._model, state, limits, steps, beam_size, n_best)
        try:
            beams.begin(state, limits, ranking)
            done = 0
            while done <= max(limits.max_lengths):
                check_stop(should_stop)
                if self._repeat is None:
                    beams.advance()
                else:
                    self._repeat(beams, beams.advance)
                done += _STEPS
                if beams.are_done():
                    break
            found = beams.results()
        finally:
            self._keep(key, beams)
        require_found(found, "beam")
        return found

    def _keep(self, key: object, beams: _Beams) -> None:
        """Keep buffers and graph for the next search of this shape, and drop the oldest."""
        dropped = self._unused.pop(key, None)
        self._unused[key] = beams
        if len(self._unused) > _MOST_SHAPES:
            dropped = self._unused.pop(next(iter(self._unused)))
        if dropped is not None and self._repeat is not None:
            self._repeat.forget(dropped)


class _Beams:
    """B beams of K slots, W rows in each step, over static tensors.

    Finished hypotheses are kept in columns 0 … K - 1; column K is written where there is none.
    """

    def __init__(
        self,
        model: InferenceModel,
        state: DecodingState,
        limits: Limits,
        steps: int,
        beam_size: int,
        n_best: int,
    ) -> None:
        self._model, self._size, self._n_best = model, beam_size, n_best
        self._eos_id = limits.eos_id
        device = model.device
        count = self._count = len(limits.max_lengths)
        # on a CPU each row is then what it is in any other batch
        width = self._width = batch_invariant_rows(beam_size) if device.type == "cpu" else beam_size
        self._places = Places(count, width, None, None)

        def make(*shape: int, dtype: torch.dtype = torch.long) -> Tensor:
            return torch.zeros(*shape, dtype=dtype, device=device)

        double, single = torch.float64, torch.float32
        self._memory = _map(state.memory, torch.clone)
        self._layers = tuple(self._spread(layer) for layer in state.layers)
        self._context: Tensor | None = None
        if state.memory.keys is None:
            self._context = state.memory.context.repeat_interleave(width, 0)
        self._blocked = torch.tensor(limits.blocked, dtype=torch.long, device=device)
        self._firsts = torch.arange(count, device=device)[:, None] * width
        self._ranks = torch.arange(beam_size, device=device)
        self._max_lengths, self._slots = make(count), make(count)
        self._divisors, self._last_divisors = (
            make(steps + 1, dtype=double),
            make(count, 1, dtype=double),
        )
        self._length, self._is_sound = make(1), make(1, dtype=torch.bool)
        self._tokens = make(count, width)
        self._totals = make(count, width, dtype=double)
        self._kept = [
            make(steps, count, width, dtype=d) for d in (torch.int32, torch.int32, single)
        ]
        self._ended, self._margins = make(count), make(count, dtype=double)
        self._scores = make(count, beam_size + 1, dtype=double)
        columns = (double, single, torch.int32, torch.int32, torch.bool)
        self._finished = [make(count, beam_size + 1, dtype=d) for d in columns]

    def begin(self, state: DecodingState, limits: Limits, ranking: Ranking) -> None:
        """Start from the state before BOS."""
        for own, theirs in zip(_tensors(self._memory), _tensors(state.memory), strict=True):
            own.copy_(theirs)
        for own, theirs in zip(self._layers, state.layers, strict=True):
            _copy(own, self._spread(theirs))
        if self._context is not None:
            self._context.copy_(state.memory.context.repeat_interleave(self._width, 0))
        longest = limits.max_lengths
        self._max_lengths.copy_(torch.tensor(longest))
        lengths = range(1, len(self._divisors) + 1)
        divisors = [ranking.divisor(n) for n in lengths]
        self._divisors.copy_(torch.tensor(divisors, dtype=torch.float64))
        last = [[ranking.divisor(n + 1)] for n in longest]
        self._last_divisors.copy_(torch.tensor(last, dtype=torch.float64))
        self._slots.fill_(self._size)
        self._length.zero_()
        self._is_sound.fill_(value=True)
        self._tokens.fill_(limits.bos_id)
        self._totals.fill_(-torch.inf)
        self._totals[:, 0] = 0
        self._ended.zero_()
        self._margins.fill_(torch.nan)
        self._scores.fill_(-torch.inf)

    def advance(self) -> None:
        """Take some steps."""
        for _ in range(_STEPS):
            self._step()

    def are_done(self) -> bool:
        """Whether no partial hypothesis is left; waits for the device."""
        return not bool((self._totals > -torch.inf).any())

    def results(self) -> list[list[Hypothesis]]:
        """The best hypotheses of each sentence, best first, no output twice."""
        require_numbers(np.where(self._is_sound.cpu().numpy(), 0.0, np.nan))
        # of what was decided by its end only, against the other finished ones
        self._decide(torch.full_like(self._margins, -1e300), self._margins.new_tensor(-torch.inf))
        margins: list[float] = self._margins.tolist()
        scores: Any = self._scores[:, : self._size].cpu().numpy()
        totals, log_probs, lengths, rows, chosen = (
            x[:, : self._size].cpu().numpy() for x in self._finished
        )
        order: Any = np.argsort(-scores, axis=1, kind="stable")
        if self._n_best == 1:
            order = order[:, :1]
        beam = np.arange(self._count)[:, None]
        last = int(np.where(scores > -np.inf, lengths, 0).max(initial=0))
        parents, tokens, added = (x[:last].cpu().numpy() for x in self._kept)
        row, length = rows[beam, order], lengths[beam, order]
        texts = np.zeros((*order.shape, last), dtype=np.int64)
        steps = np.zeros((*order.shape, last), dtype=np.float32)
        for step in range(last - 1, -1, -1):
            reached = step < length
            texts[..., step] = tokens[step][beam, row]
            steps[..., step] = added[step][beam, row]
            row = np.where(reached, parents[step][beam, row], row)
        found: list[list[Hypothesis]] = []
        for b in range(self._count):
            different: dict[tuple[int, ...], Hypothesis] = {}
            for rank, column in enumerate(order[b].tolist()):
                if scores[b, column] == -np.inf or len(different) == self._n_best:
                    break
                n = int(length[b, rank])
                own: list[int] = texts[b, rank, :n].tolist()
                if tuple(own) not in different:
                    different[tuple(own)] = Hypothesis(
                        tokens=own,
                        score=float(scores[b, column]),
                        log_probability=float(totals[b, column]),
                        token_log_probabilities=[
                            *steps[b, rank, :n].tolist(), float(log_probs[b, column])
                        ],
                        finished=bool(chosen[b, column]),
                        margin=margins[b] if not different and self._size > 1 else None,
                    )  # fmt: skip
            found.append(list(different.values()))
        return found

    def _step(self) -> None:
        count, width, size = self._count, self._width, self._size
        logits, layers, _ = self._model.step(
            self._tokens.flatten(), self._layers, self._memory, self._context, self._places
        )
        log_probs = torch.log_softmax(logits.float(), -1)  # (B·W, V)
        alive = self._totals > -torch.inf
        self._is_sound &= ~(log_probs[:, 0].isnan().view(count, width) & alive).any()
        log_probs.index_fill_(1, self._blocked, -torch.inf)
        ends_by_choice = (log_probs.argmax(-1) == self._eos_id).view(count, width)
        at_limit = (self._max_lengths == self._length)[:, None]
        ends = log_probs[:, self._eos_id].clone()
        log_probs.masked_fill_(at_limit.expand(-1, width).reshape(-1, 1), -torch.inf)
        log_probs[:, self._eos_id] = ends
        values, ids = top_tokens(log_probs, min(size, log_probs.shape[1]), fixed=True)
        # (B, W·C): of equal sums the earlier row's first, then the likelier token's
        sums = (self._totals[:, :, None] + values.view(count, width, -1)).flatten(1)
        ordered = torch.sort(sums, descending=True, stable=True)
        totals, picked = ordered.values[:, :size], ordered.indices[:, :size]
        parents = picked // values.shape[1]
        tokens, added = (x.view(count, -1).gather(1, picked) for x in (ids, values))
        chosen = (self._ranks < self._slots[:, None]) & (totals > -torch.inf)
        ending = chosen & (tokens == self._eos_id)
        self._finish(ending, at_limit, ends_by_choice, totals, added, parents)
        going = chosen & ~ending
        worst = self._scores[:, :size].topk(self._n_best).values[:, -1:]
        bounds = (totals / self._last_divisors).masked_fill(~going, -torch.inf)
        best = bounds.amax(1, keepdim=True)
        self._decide(best[:, 0], totals.masked_fill(~going, -torch.inf).amax(1))
        going &= worst < best
        self._go_on(going, totals, parents, tokens, added, layers)
        self._length += 1

    def _finish(
        self,
        ending: Tensor,
        at_limit: Tensor,
        ends_by_choice: Tensor,
        totals: Tensor,
        added: Tensor,
        parents: Tensor,
    ) -> None:
        """Keep the finished hypotheses, in order; all arguments are (B, K) or (B, 1)."""
        column = torch.where(ending, self._ended[:, None] + ending.cumsum(1) - 1, self._size)
        scores = totals / self._divisors.index_select(0, self._length)
        self._scores.scatter_(1, column, scores)
        lengths = self._length.expand_as(parents)
        by_choice = ~at_limit | ends_by_choice.gather(1, parents)
        values = (totals, added, lengths, parents, by_choice)
        for own, new in zip(self._finished, values, strict=True):
            own.scatter_(1, column, new.to(own.dtype))
        number = ending.sum(1)
        self._ended += number
        self._slots -= number

    def _decide(self, reachable: Tensor, next_total: Tensor) -> None:
        """Note the margin of the best where no partial hypothesis can reach it any more."""
        scores = self._scores[:, : self._size]
        top = scores.max(1, keepdim=True)
        finished = self._finished[0][:, : self._size].masked_fill(scores == -torch.inf, -torch.inf)
        others = finished.scatter(1, top.indices, -torch.inf).amax(1)
        margins = finished.gather(1, top.indices)[:, 0] - torch.maximum(next_total, others)
        decided = (top.values[:, 0] >= reachable) & (reachable > -torch.inf)
        self._margins.copy_(torch.where(decided & self._margins.isnan(), margins, self._margins))

    def _go_on(
        self,
        going: Tensor,
        totals: Tensor,
        parents: Tensor,
        tokens: Tensor,
        added: Tensor,
        layers: tuple[State, ...],
    ) -> None:
        """Move the hypotheses that go on to the first slots, in order."""
        slot = torch.where(going, going.cumsum(1) - 1, self._width)

        def moved(values: Tensor, empty: float) -> Tensor:
            into = values.new_full((self._count, self._width + 1), empty)
            return into.scatter_(1, slot, values)[:, : self._width]

        parents, tokens, added = moved(parents, 0), moved(tokens, PAD_ID), moved(added, 0)
        self._totals.copy_(moved(totals, -torch.inf))
        self._tokens.copy_(tokens)
        for own, new in zip(self._kept, (parents, tokens, added), strict=True):
            own.index_copy_(0, self._length, new[None].to(own.dtype))
        rows = (self._firsts + parents).flatten()
        for own, after in zip(self._layers, layers, strict=True):
            _copy(own, after.select(rows))

    def _spread(self, layer: State) -> State:
        """A row for each slot."""
        return layer.first(self._count).repeat(self._width)


def _tensors(memory: Memory) -> list[Tensor]:
    every = (memory.values, memory.keys, memory.mask, memory.context)
    return [x for x in every if x is not None]


def _map(memory: Memory, function: Callable[[Tensor], Tensor]) -> Memory:
    keys = None if memory.keys is None else function(memory.keys)
    return Memory(function(memory.values), keys, function(memory.mask), function(memory.context))


def _copy(into: State, state: State) -> None:
    into.h.copy_(state.h)
    if into.c is not None and state.c is not None:
        into.c.copy_(state.c)
