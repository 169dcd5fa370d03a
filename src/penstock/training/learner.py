"""The interface between a task and the training loop: batches, loss, held-out scores."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self, TypeVar

from torch import Tensor, nn

from penstock.bundle import Bundle
from penstock.nn import State
from penstock.training.processes import WHOLE, Processes, Share


@dataclass(frozen=True)
class HeldOutScores:
    """Scores on held-out data.

    Attributes:
        loss: mean cross-entropy per token or sentence, in nats, without smoothing.
        metrics: other scores, in percent.
        recipe: how they were computed: signature, search, baselines.
        samples: example outputs, always for the same inputs.
        unit: the unit that the loss is averaged over.
        old: scores on the data that the model to go on from was trained on.
    """

    loss: float
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    recipe: Mapping[str, Any] = field(default_factory=dict[str, Any])
    samples: Sequence[str] = ()
    unit: Literal["token", "sentence"] = "token"
    old: HeldOutScores | None = None

    @property
    def perplexity(self) -> float:
        """exp of the mean loss."""
        return math.exp(min(self.loss, 700.0))

    def value(self, metric: str) -> float:
        """The score of a metric."""
        return self.loss if metric == "loss" else self.metrics[metric]


class TrainingBatch(Protocol):
    """A batch of any task, on the host.

    Attributes:
        rows: how many can be computed apart.
        description: its shape, for messages.
        key: what a recorded computation depends on beside the values of `tensors`.
    """

    @property
    def rows(self) -> int: ...  # noqa: D102
    @property
    def description(self) -> str: ...  # noqa: D102
    @property
    def key(self) -> tuple[object, ...]: ...  # noqa: D102

    def part(self, start: int, stop: int, /) -> Self:
        """Some of the rows."""
        ...

    def rounded(self) -> Self:
        """The same with more padding, so that shapes are few; loss and gradient are the same."""
        ...

    def tensors(self) -> list[Tensor]:
        """Integers that the loss reads on the device."""
        ...

    def with_tensors(self, tensors: Sequence[Tensor], /) -> Self:
        """The same with other `tensors`."""
        ...


B = TypeVar("B", bound=TrainingBatch)
B_contra = TypeVar("B_contra", bound=TrainingBatch, contravariant=True)


class Differentiable(Protocol[B_contra]):
    """A network and the loss of its batches.

    Attributes:
        carried: the recurrent state that the next batch continues from, detached; None where
            batches are independent. Saved in checkpoints.
    """

    carried: State | None

    @property
    def network(self) -> nn.Module:
        """The network in training."""
        ...

    def loss(self, batch: B_contra, *, label_smoothing: float) -> Tensor:
        """The summed loss of a batch."""
        ...

    def count(self, batch: B_contra) -> int:
        """The number of units that the loss sums over."""
        ...


class Learner(Differentiable[B], Protocol[B]):
    """A task with its data and network, as seen by the loop.

    Attributes:
        bundle: tokenizers and configuration; no files yet.
        fingerprint: hash of the training data.
        summary: a short description of the data.
    """

    bundle: Bundle
    fingerprint: str
    summary: str

    def batches(self, epoch: int, *, skip: int = 0, share: Share = WHOLE) -> Iterator[B]:
        """The batches of an epoch, without the first `skip`; the same at every call.

        Of several processes each gets its share; `skip` counts the batches of all.
        """
        ...

    def evaluate(self, processes: Processes) -> HeldOutScores:
        """Score the current network without consuming the loop's random numbers.

        All processes call it and get the same scores; `processes.map` divides the work.
        """
        ...
