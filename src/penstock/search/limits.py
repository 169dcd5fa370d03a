"""What an output may be: its special ids, its length, its phrases. Every search honours it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from penstock.errors import UsageError

Phrase = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Demands:
    """What one sentence's output must and must not contain.

    Attributes:
        prefix: the output begins with these ids.
        required: phrases that occur in the output, as consecutive ids; they may overlap.
        forbidden: phrases that do not.
    """

    prefix: Phrase = ()
    required: tuple[Phrase, ...] = ()
    forbidden: tuple[Phrase, ...] = ()


NO_DEMANDS = Demands()


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a search.

    Attributes:
        bos_id, eos_id: begin and end of a sequence.
        blocked: ids that are never emitted (padding, BOS, unknown).
        max_lengths: for each sentence the most tokens, EOS not counted.
        min_lengths: for each sentence the fewest; empty: none.
        demands: for each sentence its prefix and phrases; empty: none.
        no_repeat: no n-gram of this length comes twice in an output; 0: any may. Where the rule
            would leave no token at all, it rests.
        source_lengths: for each sentence its positions that attention can reach; a ranking with
            a coverage penalty needs them.
    """

    bos_id: int
    eos_id: int
    blocked: tuple[int, ...]
    max_lengths: Sequence[int]
    min_lengths: Sequence[int] = ()
    demands: Sequence[Demands] = ()
    no_repeat: int = 0
    source_lengths: Sequence[int] = ()

    @property
    def are_plain(self) -> bool:
        """Nothing but blocked ids and greatest lengths."""
        return not (
            self.no_repeat
            or any(self.min_lengths)
            or any(demand != NO_DEMANDS for demand in self.demands)
        )

    def source_length(self, sentence: int) -> int:
        """Positions of a sentence's source that attention can reach.

        Raises:
            UsageError: they were not given.
        """
        if not self.source_lengths:
            raise UsageError("a coverage penalty needs the lengths of the sources")
        return self.source_lengths[sentence]

    def allowed(self, logits: Tensor) -> Tensor:
        """Normalised log-probabilities (N, V) in float32 with the blocked ids at -inf.

        Blocking removes tokens from the choice; it does not renormalise the others, so that a
        score is always the model's own probability.
        """
        log_probs = torch.log_softmax(logits.float(), -1)
        for token in self.blocked:
            log_probs[:, token].fill_(-math.inf)
        return log_probs
