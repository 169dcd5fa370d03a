"""Limits applied: which tokens may follow each partial hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.errors import UsageError
from penstock.search.automaton import PhraseAutomaton, State
from penstock.search.limits import NO_CONSTRAINTS, Constraints, Limits
from penstock.search.step import Singles


@dataclass(frozen=True, slots=True)
class ConstraintState:
    """Progress of one partial hypothesis on its sentence's constraints."""

    sentence: int
    tokens: tuple[int, ...] = ()
    phrases: State = (0, 0)


class Rules:
    """The limits of a search over a vocabulary.

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
        constraints = limits.constraints or [NO_CONSTRAINTS] * len(limits.max_lengths)
        self._constraints = constraints
        self._least = limits.min_lengths or [0] * len(limits.max_lengths)
        self._automata: list[PhraseAutomaton | None] = [
            self._automaton(number, each) for number, each in enumerate(constraints)
        ]

    def start(self) -> list[ConstraintState]:
        """The first state of each sentence; none where the limits are plain."""
        count = 0 if self.are_plain else len(self.limits.max_lengths)
        return [ConstraintState(sentence) for sentence in range(count)]

    def extend(self, state: ConstraintState, token: int) -> ConstraintState:
        """The state after one more token."""
        automaton = self._automata[state.sentence]
        phrases = state.phrases if automaton is None else automaton.after(state.phrases, token)
        assert phrases is not None, "a forbidden phrase was let through"
        return ConstraintState(state.sentence, (*state.tokens, token), phrases)

    def restrict(
        self,
        log_probs: Singles,
        states: Sequence[ConstraintState],
        at_limit: Sequence[bool] | NDArray[np.bool_],
    ) -> None:
        """Set to -inf, in place, the tokens that must not follow each row.

        Args:
            log_probs: (N, V), blocked ids at -inf already.
            states: of N rows; empty where the limits are plain.
            at_limit: for each row whether only EOS may follow.
        """
        for row in np.flatnonzero(at_limit):
            _keep_only(log_probs[row], [self.limits.eos_id])
        for row, state in enumerate(states):
            self._restrict_row(log_probs[row], state)

    def needed(self, state: ConstraintState) -> int:
        """The fewest tokens that complete the required phrases; 0 when there are none left."""
        automaton = self._automata[state.sentence]
        return 0 if automaton is None else automaton.need[state.phrases]

    def needed_after(self, state: ConstraintState, token: int) -> int:
        """`needed` of the state after one more token, which `restrict` lets through."""
        if token == self.limits.eos_id:
            return 0
        return self.needed(self.extend(state, token))

    def advancing(self, state: ConstraintState) -> list[int]:
        """Tokens that advance the required phrases towards completion."""
        automaton = self._automata[state.sentence]
        if automaton is None or len(state.tokens) < len(self._constraints[state.sentence].prefix):
            return []
        needed = automaton.need[state.phrases]
        edges = automaton.edges(state.phrases)
        return [token for token, after in edges.items() if after is not None and after < needed]

    def has_required(self, sentence: int) -> bool:
        """Whether the sentence has phrases that must occur."""
        return not self.are_plain and bool(self._constraints[sentence].required)

    def _restrict_row(self, log_probs: Singles, state: ConstraintState) -> None:
        sentence, length = state.sentence, len(state.tokens)
        prefix = self._constraints[sentence].prefix
        if length < len(prefix):
            _keep_only(log_probs, [prefix[length]])
            return
        eos = self.limits.eos_id
        ending = log_probs[eos]
        automaton = self._automata[sentence]
        slack = self.limits.max_lengths[sentence] - length - 1
        if automaton is not None:
            after = automaton.needed_after_other(state.phrases)
            edges = automaton.edges(state.phrases)
            fitting = [token for token, n in edges.items() if n is not None and n <= slack]
            if after is None or after > slack:
                _keep_only(log_probs, fitting)
            else:
                unfit = [token for token in edges if token not in set(fitting)]
                log_probs[unfit] = -np.inf
        if length < self._least[sentence] or (automaton is not None and self.needed(state) > 0):
            ending = -np.inf
        log_probs[eos] = ending
        repeated = self._repeating(state)
        if repeated:
            without = log_probs.copy()
            without[repeated] = -np.inf
            if (without > -np.inf).any():
                log_probs[:] = without

    def _repeating(self, state: ConstraintState) -> list[int]:
        """Tokens that would complete an n-gram that the output already has."""
        n, tokens = self.limits.no_repeat, state.tokens
        if not n or len(tokens) < n:
            return []
        last = tokens[len(tokens) - n + 1 :]
        return [
            tokens[i + n - 1] for i in range(len(tokens) - n + 1) if tokens[i : i + n - 1] == last
        ]

    def _automaton(self, number: int, constraints: Constraints) -> PhraseAutomaton | None:
        """The sentence's phrases, if any; checks that some output meets its limits."""
        most, least = self.limits.max_lengths[number], self._least[number]
        place = f"sentence {number + 1}"
        if least > most:
            raise UsageError(
                f"{place}: the least length {least} is above the greatest, {most}; "
                "lower the one or raise the other"
            )
        for kind in ("prefix", "required"):
            phrases = [constraints.prefix] if kind == "prefix" else constraints.required
            for phrase in phrases:
                wrong = [token for token in phrase if token not in self._possible]
                if wrong:
                    raise UsageError(
                        f"{place}: the {kind} phrase {list(phrase)} has id {wrong[0]}, which is "
                        "never emitted; leave it out, or allow the id"
                    )
        if any(not phrase for phrase in (*constraints.required, *constraints.forbidden)):
            raise UsageError(f"{place}: a required or forbidden phrase is empty; leave it out")
        if not constraints.required and not constraints.forbidden:
            shortest = len(constraints.prefix)
            automaton = None
        else:
            ids = {t for phrase in (*constraints.required, *constraints.forbidden) for t in phrase}
            automaton = PhraseAutomaton(
                constraints, possible=self._possible, other=bool(self._possible - ids)
            )
            shortest = self._shortest(automaton, constraints, place)
        if shortest > most:
            raise UsageError(
                f"{place}: its prefix and required phrases take at least {shortest} tokens, but "
                f"at most {most} are allowed; raise the length limit or give fewer phrases"
            )
        return automaton

    @staticmethod
    def _shortest(automaton: PhraseAutomaton, constraints: Constraints, place: str) -> int:
        state: State | None = automaton.start
        for token in constraints.prefix:
            state = None if state is None else automaton.after(state, token)
        if state is None:
            raise UsageError(f"{place}: its prefix contains a forbidden phrase; drop one of them")
        if state not in automaton.need:
            raise UsageError(
                f"{place}: no output has all required and no forbidden phrases; drop one of them"
            )
        return len(constraints.prefix) + automaton.need[state]


def _keep_only(log_probs: Singles, tokens: list[int]) -> None:
    """Set all of a row (V,) but the given ids to -inf, in place."""
    kept = log_probs[tokens]
    log_probs.fill(-np.inf)
    log_probs[tokens] = kept
