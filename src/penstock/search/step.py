"""The decoder step that every search repeats: the numpy interface between searches and engines.

An engine owns what is heavy and has a fixed shape: the network, the normalization over the
vocabulary, the choice of the best candidates per row, the reordering of decoder states. A search
owns what is sparse: hypotheses, constraints, n-best lists.

The interface suits engines that compute elsewhere. A state may live on a device and never come to
the host: a search only passes it on. `select` may be lazy, because all that a search does with its
result is to step from it, to select again or, in exact search, to join it with others. With `top`
an engine hands K candidates per row to the host instead of V numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


class StepState(Protocol):
    """The decoder state of N rows; a search never looks into it."""

    def select(self, rows: Ints) -> Self:
        """The given rows (M,), in that order; a row may occur more than once."""
        ...


class JoinableState(StepState, Protocol):
    """A state whose rows can be concatenated with those of others: exact search needs it."""

    def join(self, others: Sequence[Self]) -> Self:
        """Its rows, then those of the others; all descend from the same first state."""
        ...


S = TypeVar("S", bound=StepState)
J = TypeVar("J", bound=JoinableState)


class StepOutput(NamedTuple, Generic[S]):
    """What one step returns for N rows. The arrays belong to the search, which may overwrite them.

    Attributes:
        log_probs: normalized log-probabilities of the next token: of the K best candidates (N, K),
            greatest first, or of all tokens (N, V).
        ids: the candidates' ids (N, K), of equal log-probabilities the lower id first; None when
            `log_probs` has all tokens.
        state: the state after the step.
        attention: over the source (N, S), averaged over heads; None without attention.
    """

    log_probs: Singles
    ids: Ints | None
    state: S
    attention: Singles | None


class Step(Protocol[S]):
    """One step of a model."""

    def __call__(self, tokens: Ints, state: S, /, *, top: int) -> StepOutput[S]:
        """Advance every row by its last token.

        A row's result does not depend on the other rows, and a state can be stepped from again.

        Args:
            tokens: (N,) last token of each row.
            state: of N rows.
            top: K, where the K best candidates per row are enough (fewer come where V is
                smaller); 0: all tokens are wanted. A step may always return all.
        """
        ...
