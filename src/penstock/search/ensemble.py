"""Several models as one: at every step the weighted mean of their probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from penstock.errors import UsageError
from penstock.search.step import Step, StepOutput


@dataclass(frozen=True, slots=True)
class EnsembleState:
    """The state of every model, row by row."""

    states: tuple[Any, ...]

    def select(self, rows: Tensor) -> EnsembleState:
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
        steps: one a model.
        weights: one a model, above 0, summing to 1 (see `shares`).

    Returns:
        A step whose logits are log-probabilities. Its attention is the first model's: sources may
        be cut into other pieces for the others.
    """

    def step(tokens: Tensor, before: EnsembleState, /) -> StepOutput[EnsembleState]:
        outputs = [one(tokens, state) for one, state in zip(steps, before.states, strict=True)]
        mixed = mix([output.logits for output in outputs], weights)
        after = EnsembleState(tuple(output.state for output in outputs))
        return StepOutput(mixed, after, outputs[0].weights)

    return step


def mix(logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Log of the weighted mean of probabilities, (…, V), from logits of that shape."""
    if len(logits) == 1:
        return logits[0]
    every = [
        torch.log_softmax(one.float(), -1) + math.log(weight)
        for one, weight in zip(logits, weights, strict=True)
    ]
    return torch.logsumexp(torch.stack(every), 0)


def shares(weights: Sequence[float] | None, count: int) -> list[float]:
    """Weights of `count` models, summing to 1; equal ones when None is given.

    Raises:
        UsageError: not one weight a model, or one whose share might not be a number.
    """
    given = [1.0] * count if weights is None else list(weights)
    if len(given) != count:
        raise UsageError(f"{len(given)} weights for {count} models; give one for each, or none")
    if not all(1e-9 <= weight <= 1e9 for weight in given):
        raise UsageError(f"weights {given}: each must be between 1e-9 and 1e9")
    return [weight / sum(given) for weight in given]
