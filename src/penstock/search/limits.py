"""What every search has to know: which ids are special, and how long an output may be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a search.

    Attributes:
        bos_id, eos_id: begin and end of a sequence.
        blocked: ids that are never emitted (padding, BOS, unknown).
        max_lengths: for each sentence the most tokens, EOS not counted.
    """

    bos_id: int
    eos_id: int
    blocked: tuple[int, ...]
    max_lengths: Sequence[int]

    def allowed(self, logits: Tensor) -> Tensor:
        """Normalised log-probabilities (N, V) in float32 with the blocked ids at -inf.

        Blocking removes tokens from the choice; it does not renormalise the others, so that a
        score is always the model's own probability.
        """
        log_probs = torch.log_softmax(logits.float(), -1)
        log_probs[:, list(self.blocked)] = -math.inf
        return log_probs

    def end_at_limit(self, log_probs: Tensor, at_limit: Sequence[bool]) -> None:
        """Leave only EOS, in place, to rows that may not grow any more."""
        if any(at_limit):
            rows = torch.tensor(at_limit, device=log_probs.device)[:, None]
            others = torch.arange(log_probs.shape[1], device=log_probs.device) != self.eos_id
            log_probs.masked_fill_(rows & others, -math.inf)


def normalized(log_probability: float, length: int, length_penalty: float) -> float:
    """The book's length normalisation: log p / L^α, L counting EOS; α = 0 for none."""
    return log_probability / max(length, 1) ** length_penalty
