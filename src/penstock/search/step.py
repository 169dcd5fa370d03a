"""The step that every search takes: last tokens and a state in, logits and a state out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

from torch import Tensor


class StepState(Protocol):
    """Anything with rows that can be chosen."""

    def select(self, rows: Tensor) -> Self:
        """The given rows, in that order; a row may come more than once."""
        ...


class JoinableState(StepState, Protocol):
    """A state whose rows can be put beside those of others: exact search needs it."""

    def join(self, others: Sequence[Self]) -> Self:
        """Its rows, then those of the others, which descend from the same first state."""
        ...


S = TypeVar("S", bound=StepState)
J = TypeVar("J", bound=JoinableState)


class StepOutput(NamedTuple, Generic[S]):
    """What one step gives for N rows.

    Attributes:
        logits: (N, V), unnormalised log-probabilities of the next token.
        state: the state after the step.
        weights: attention over the source (N, S), or None.
    """

    logits: Tensor
    state: S
    weights: Tensor | None


class Step(Protocol[S]):
    """One step of a model: `step(tokens, state)` with tokens (N,)."""

    def __call__(self, tokens: Tensor, state: S, /) -> StepOutput[S]:
        """Advance every row by its last token."""
        ...
