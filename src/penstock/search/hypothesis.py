"""What a search returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from penstock.errors import UsageError
from penstock.search.step import Singles


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One output of a search.

    Attributes:
        tokens: ids without BOS and EOS.
        score: what hypotheses are ranked by (log-probability after length normalization).
        log_probability: of the whole sequence, EOS included, in nats.
        token_log_probabilities: one per token, and one for EOS.
        finished: the model ended it; False when the length limit did, where another token would
            have been likelier than EOS.
        alignment: attention (len(tokens), S) of the steps that emitted the tokens, averaged over
            heads; None without attention or when not asked for.
        certified: exact search has proved that no output has a better score. None from other
            searches.
        bound: from exact search: no output has a score above it.
        extended: from exact search: partial hypotheses extended, beam search not counted.
        margin: from beam search, of the best: its log-probability above that of the next one, ended
            or not, when the best was decided; infinite if there was none. None for others.
    """

    tokens: list[int]
    score: float
    log_probability: float
    token_log_probabilities: list[float]
    finished: bool
    alignment: Singles | None = None
    certified: bool | None = None
    bound: float | None = None
    extended: int | None = None
    margin: float | None = None


# called with a sentence's number and its hypotheses as soon as nothing can change them
OnResult = Callable[[int, Sequence[Hypothesis]], None]


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
