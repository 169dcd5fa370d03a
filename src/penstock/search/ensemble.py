"""Several models as one: at every step the weighted mean of their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock.errors import UsageError
from penstock.search.step import Ints, Singles, Step, StepOutput


@dataclass(frozen=True, slots=True)
class EnsembleState:
    """The state of every model, row by row."""

    states: tuple[Any, ...]

    def select(self, rows: Ints) -> EnsembleState:
        """The given rows of each."""
        return EnsembleState(tuple(state.select(rows) for state in self.states))

    def join(self, others: Sequence[EnsembleState]) -> EnsembleState:
        """Its rows, then those of the others."""
        return EnsembleState(
            tuple(
                state.join([other.states[index] for other in others])
                for index, state in enumerate(self.states)
            )
        )


def ensemble_step(steps: Sequence[Step[Any]], weights: Sequence[float]) -> Step[EnsembleState]:
    """The step of several models with one vocabulary.

    Args:
        steps: one per model.
        weights: one per model, above 0, summing to 1 (see `shares`).

    Returns:
        A step whose attention is the first model's: the others may split sources differently.
    """

    def step(tokens: Ints, before: EnsembleState, /, *, top: int) -> StepOutput[EnsembleState]:
        outputs = [
            one(tokens, state, top=0) for one, state in zip(steps, before.states, strict=True)
        ]
        log_probs = mix([output.log_probs for output in outputs], weights)
        after = EnsembleState(tuple(output.state for output in outputs))
        return StepOutput(log_probs, None, after, outputs[0].attention)

    return step


def mix(log_probs: Sequence[Singles], weights: Sequence[float]) -> Singles:
    """Log of the weighted mean of probabilities, (…, V), from log-probabilities of that shape."""
    if len(log_probs) == 1:
        return log_probs[0]
    every = np.stack(log_probs)
    every += np.log(np.array(weights, dtype=np.float32)).reshape(-1, *(1,) * log_probs[0].ndim)
    greatest = every.max(0)
    return np.log(np.exp(every - greatest).sum(0)) + greatest


def shares(weights: Sequence[float] | None, count: int) -> list[float]:
    """Weights of `count` models, summing to 1; equal ones when None is given.

    Raises:
        UsageError: not one weight per model, or one whose share might not be a number.
    """
    given = [1.0] * count if weights is None else list(weights)
    if len(given) != count:
        raise UsageError(f"{len(given)} weights for {count} models; give one for each, or none")
    if not all(1e-9 <= weight <= 1e9 for weight in given):
        raise UsageError(f"weights {given}: each must be between 1e-9 and 1e9")
    return [weight / sum(given) for weight in given]
