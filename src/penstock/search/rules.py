"""Limits at work: which tokens each beginning may go on with, step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from penstock.errors import UsageError
from penstock.search.automaton import PhraseAutomaton, State
from penstock.search.limits import NO_DEMANDS, Demands, Limits


@dataclass(frozen=True, slots=True)
class Track:
    """What the rules have to know of one beginning."""

    sentence: int
    tokens: tuple[int, ...] = ()
    state: State = (0, 0)


class Rules:
    """The limits of a search, made ready for a vocabulary.

    Args:
        limits: of B sentences.
        vocab_size: V.

    Raises:
        UsageError: no output at all meets a sentence's limits.
    """

    def __init__(self, limits: Limits, vocab_size: int) -> None:
        self.limits = limits
        self.are_plain = limits.are_plain
        if self.are_plain:
            return
        never = {*limits.blocked, limits.eos_id}
        self._possible = frozenset(range(vocab_size)) - never
        demands = limits.demands or [NO_DEMANDS] * len(limits.max_lengths)
        self._demands = demands
        self._least = limits.min_lengths or [0] * len(limits.max_lengths)
        self._automata: list[PhraseAutomaton | None] = [
            self._automaton(number, demand) for number, demand in enumerate(demands)
        ]

    def start(self) -> list[Track]:
        """A track for each sentence; none where the limits are plain."""
        return [] if self.are_plain else [Track(i) for i in range(len(self.limits.max_lengths))]

    def grow(self, track: Track, token: int) -> Track:
        """The track after one more token."""
        automaton = self._automata[track.sentence]
        state = track.state if automaton is None else automaton.after(track.state, token)
        assert state is not None, "a forbidden phrase was let through"
        return Track(track.sentence, (*track.tokens, token), state)

    def restrict(
        self, log_probs: Tensor, tracks: Sequence[Track], at_limit: Sequence[bool]
    ) -> None:
        """Set to -inf, in place, what each row must not go on with.

        Args:
            log_probs: (N, V), blocked ids at -inf already.
            tracks: of N rows; empty where the limits are plain.
            at_limit: for each row whether only EOS may follow.
        """
        if any(at_limit):
            rows = torch.tensor(at_limit, device=log_probs.device)[:, None]
            others = torch.arange(log_probs.shape[1], device=log_probs.device) != self.limits.eos_id
            log_probs.masked_fill_(rows & others, -math.inf)
        for row, track in enumerate(tracks):
            self._restrict_row(log_probs[row], track)

    def needed(self, track: Track) -> int:
        """The fewest tokens that complete the required phrases; 0 when there are none left."""
        automaton = self._automata[track.sentence]
        return 0 if automaton is None else automaton.need[track.state]

    def needed_after(self, track: Track, token: int) -> int:
        """`needed` of the track after one more token, which `restrict` lets through."""
        if token == self.limits.eos_id:
            return 0
        return self.needed(self.grow(track, token))

    def advancing(self, track: Track) -> list[int]:
        """Tokens that bring the required phrases nearer to completion."""
        automaton = self._automata[track.sentence]
        if automaton is None or len(track.tokens) < len(self._demands[track.sentence].prefix):
            return []
        needed = automaton.need[track.state]
        edges = automaton.edges(track.state)
        return [token for token, after in edges.items() if after is not None and after < needed]

    def has_required(self, sentence: int) -> bool:
        """Whether the sentence has phrases that must occur."""
        return not self.are_plain and bool(self._demands[sentence].required)

    def _restrict_row(self, log_probs: Tensor, track: Track) -> None:
        sentence, length = track.sentence, len(track.tokens)
        prefix = self._demands[sentence].prefix
        if length < len(prefix):
            _keep_only(log_probs, [prefix[length]])
            return
        eos = self.limits.eos_id
        ending = log_probs[eos].clone()
        automaton = self._automata[sentence]
        slack = self.limits.max_lengths[sentence] - length - 1
        if automaton is not None:
            after = automaton.needed_after_other(track.state)
            edges = automaton.edges(track.state)
            fitting = [token for token, n in edges.items() if n is not None and n <= slack]
            if after is None or after > slack:
                _keep_only(log_probs, fitting)
            else:
                unfit = [token for token in edges if token not in set(fitting)]
                log_probs[unfit] = -math.inf
        if length < self._least[sentence] or (automaton is not None and self.needed(track) > 0):
            ending = torch.full_like(ending, -math.inf)
        log_probs[eos] = ending
        repeated = self._repeating(track)
        if repeated:
            without = log_probs.clone()
            without[repeated] = -math.inf
            if bool((without > -math.inf).any()):
                log_probs.copy_(without)

    def _repeating(self, track: Track) -> list[int]:
        """Tokens that would complete an n-gram that is there already."""
        n, tokens = self.limits.no_repeat, track.tokens
        if not n or len(tokens) < n:
            return []
        last = tokens[len(tokens) - n + 1 :]
        return [
            tokens[i + n - 1] for i in range(len(tokens) - n + 1) if tokens[i : i + n - 1] == last
        ]

    def _automaton(self, number: int, demands: Demands) -> PhraseAutomaton | None:
        """The sentence's phrases, if any, and the check that some output meets its limits."""
        most, least = self.limits.max_lengths[number], self._least[number]
        place = f"sentence {number + 1}"
        if least > most:
            raise UsageError(
                f"{place}: the least length {least} is above the greatest, {most}; "
                "lower the one or raise the other"
            )
        for kind in ("prefix", "required"):
            phrases = [demands.prefix] if kind == "prefix" else demands.required
            for phrase in phrases:
                wrong = [token for token in phrase if token not in self._possible]
                if wrong:
                    raise UsageError(
                        f"{place}: the {kind} phrase {list(phrase)} has id {wrong[0]}, which is "
                        "never emitted; leave it out, or allow the id"
                    )
        if any(not phrase for phrase in (*demands.required, *demands.forbidden)):
            raise UsageError(f"{place}: a required or forbidden phrase is empty; leave it out")
        if not demands.required and not demands.forbidden:
            shortest = len(demands.prefix)
            automaton = None
        else:
            ids = {t for phrase in (*demands.required, *demands.forbidden) for t in phrase}
            automaton = PhraseAutomaton(
                demands, possible=self._possible, other=bool(self._possible - ids)
            )
            shortest = self._shortest(automaton, demands, place)
        if shortest > most:
            raise UsageError(
                f"{place}: its prefix and required phrases take at least {shortest} tokens, but "
                f"at most {most} are allowed; raise the length limit or give fewer phrases"
            )
        return automaton

    @staticmethod
    def _shortest(automaton: PhraseAutomaton, demands: Demands, place: str) -> int:
        state: State | None = automaton.start
        for token in demands.prefix:
            state = None if state is None else automaton.after(state, token)
        if state is None:
            raise UsageError(f"{place}: its prefix contains a forbidden phrase; drop one of them")
        if state not in automaton.need:
            raise UsageError(
                f"{place}: no output has all required and no forbidden phrases; drop one of them"
            )
        return len(demands.prefix) + automaton.need[state]


def _keep_only(log_probs: Tensor, tokens: Sequence[int]) -> None:
    """Set all of a row (V,) but the given ids to -inf, in place."""
    kept = log_probs[list(tokens)].clone()
    log_probs.fill_(-math.inf)
    log_probs[list(tokens)] = kept
