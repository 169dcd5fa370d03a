"""What a search returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One output of a search.

    Attributes:
        tokens: ids without BOS and EOS.
        score: what hypotheses were ranked by (log-probability after length normalisation).
        log_probability: of the whole sequence, EOS included, in nats.
        token_log_probabilities: one a token, and one for EOS.
        finished: the model ended it; False when the length limit did, where another token would
            have been likelier than EOS.
        alignment: attention (len(tokens), S) of the steps that emitted the tokens, averaged over
            heads; None without attention or when not asked for.
    """

    tokens: list[int]
    score: float
    log_probability: float
    token_log_probabilities: list[float]
    finished: bool
    alignment: Tensor | None = None
