"""What a task gives the loop: batches, a loss, held-out scores; and what such scores are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from torch import Tensor, nn

from penstock.bundle import Bundle
from penstock.nn import State
from penstock.tasks import Metric

HIGHER_IS_BETTER: dict[Metric, bool] = {
    "loss": False,
    "bleu": True,
    "chrf": True,
    "exact_match": True,
    "accuracy": True,
    "f1": True,
}


@dataclass(frozen=True)
class HeldOutScores:
    """Scores on held-out data.

    Attributes:
        loss: mean cross-entropy a token or sentence, in nats, without smoothing.
        metrics: what else is measured, in percent.
        recipe: how it was measured: signature, search, baselines.
        samples: examples to look at, always of the same inputs.
        unit: what the loss is a mean over.
    """

    loss: float
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    recipe: Mapping[str, Any] = field(default_factory=dict[str, Any])
    samples: Sequence[str] = ()
    unit: Literal["token", "sentence"] = "token"

    @property
    def perplexity(self) -> float:
        """exp of the mean loss."""
        return math.exp(min(self.loss, 700.0))

    def value(self, metric: Metric) -> float:
        """The score that the run's metric names."""
        return self.loss if metric == "loss" else self.metrics[metric]


B = TypeVar("B")


class Learner(Protocol[B]):
    """A task with its data and its network, as the loop sees it.

    Attributes:
        bundle: its tokenizers and configuration; no files yet.
        fingerprint: hash of the training data.
        summary: the data in a few words.
        carried: the recurrent state that the next batch goes on from, detached; None where
            batches do not follow each other. Checkpoints keep it.
    """

    bundle: Bundle
    fingerprint: str
    summary: str
    carried: State | None

    @property
    def network(self) -> nn.Module:
        """What is trained."""
        ...

    def batches(self, epoch: int, *, skip: int = 0) -> Iterator[B]:
        """The batches of an epoch, without the first `skip`; the same at every call."""
        ...

    def loss(self, batch: B, *, label_smoothing: float) -> tuple[Tensor, int]:
        """The summed loss of a batch and what it is a sum over."""
        ...

    def evaluate(self) -> HeldOutScores:
        """Score the network as it is now; draws none of the loop's random numbers."""
        ...
