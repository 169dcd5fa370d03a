"""What a search returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from penstock.errors import UsageError


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
        certified: by exact search: no output has a better score. None from other searches.
        bound: by exact search: no output has a score above it.
        extended: by exact search: beginnings extended for it, beam search not counted.
    """

    tokens: list[int]
    score: float
    log_probability: float
    token_log_probabilities: list[float]
    finished: bool
    alignment: Tensor | None = None
    certified: bool | None = None
    bound: float | None = None
    extended: int | None = None


# told a sentence's number and its hypotheses as soon as nothing can change them
Tell = Callable[[int, Sequence[Hypothesis]], None]


def require_found(found: Sequence[Sequence[Hypothesis]], search: str) -> None:
    """Check that every sentence has an output.

    Raises:
        UsageError: one has none: its limits led the search into dead ends.
    """
    for number, hypotheses in enumerate(found, start=1):
        if not hypotheses:
            raise UsageError(
                f"sentence {number}: {search} search met no output that its limits allow; use a "
                "larger beam or exact search, or ask for less"
            )
