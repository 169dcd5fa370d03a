"""Constraints on an output: special ids, length, phrases. Every search obeys them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from penstock.errors import UsageError
from penstock.search.step import Ints, Singles

Phrase = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Constraints:
    """What one sentence's output must and must not contain.

    Attributes:
        prefix: the output begins with these ids.
        required: phrases that occur in the output, as consecutive ids; they may overlap.
        forbidden: phrases that do not.
    """

    prefix: Phrase = ()
    required: tuple[Phrase, ...] = ()
    forbidden: tuple[Phrase, ...] = ()


NO_CONSTRAINTS = Constraints()


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a search.

    Attributes:
        bos_id, eos_id: begin and end of a sequence.
        blocked: ids that are never emitted (padding, BOS, unknown).
        max_lengths: for each sentence the most tokens, EOS not counted.
        min_lengths: for each sentence the fewest; empty: none.
        constraints: for each sentence its prefix and phrases; empty: none.
        no_repeat: no n-gram of this length occurs twice in an output; 0: any may. Where this would
            leave no token at all, repetition is allowed.
        source_lengths: for each sentence the source positions that attention can reach; a ranking
            with a coverage penalty needs them.
    """

    bos_id: int
    eos_id: int
    blocked: tuple[int, ...]
    max_lengths: Sequence[int]
    min_lengths: Sequence[int] = ()
    constraints: Sequence[Constraints] = ()
    no_repeat: int = 0
    source_lengths: Sequence[int] = ()

    @property
    def are_plain(self) -> bool:
        """Whether there are only blocked ids and maximum lengths."""
        return not (
            self.no_repeat
            or any(self.min_lengths)
            or any(constraints != NO_CONSTRAINTS for constraints in self.constraints)
        )

    def source_length(self, sentence: int) -> int:
        """Source positions of a sentence that attention can reach.

        Raises:
            UsageError: they were not given.
        """
        if not self.source_lengths:
            raise UsageError("a coverage penalty needs the lengths of the sources")
        return self.source_lengths[sentence]

    def block(self, log_probs: Singles, ids: Ints | None = None) -> None:
        """Set blocked tokens to -inf, in place.

        Blocking removes tokens from the choice; it does not renormalize the others, so that a
        score is always the model's own probability.

        Args:
            log_probs: of all tokens (N, V), or of candidates (N, K).
            ids: of the candidates (N, K).
        """
        if ids is None:
            log_probs[:, list(self.blocked)] = -np.inf
            return
        if not self.blocked or ids.min() > max(self.blocked):  # they are the lowest ids
            return
        for token in self.blocked:
            log_probs[ids == token] = -np.inf
