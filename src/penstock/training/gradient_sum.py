"""The sum of an update's gradients: replayed on a GPU, in parts where memory is short."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Generic

import torch
from torch import Tensor

from penstock.config import TrainingConfig
from penstock.errors import TrainingError, is_out_of_memory
from penstock.nn import State
from penstock.nn.fixed_shapes import fixed_shapes
from penstock.nn.frozen_transformer import find_transformer
from penstock.runtime.torch_cuda_graphs import Repeater
from penstock.training.checkpoint import Progress
from penstock.training.learner import B, Differentiable
from penstock.training.precision import mixed
from penstock.training.update import Update


class GradientSum(Generic[B]):
    """Adds the gradient of each batch to the parameters', and its loss to the update's.

    Args:
        learner: of the task.
        settings: precision, smoothing, batches.
        update: what the gradients are for.
        progress: `parts` is raised when memory runs out.
        device: where it computes.
        repeat: replays batches of known shape; None: every batch is computed as it is.
        on_split: called with the shape of a batch that did not fit, once `parts` is raised.
    """

    def __init__(
        self,
        learner: Differentiable[B],
        settings: TrainingConfig,
        update: Update,
        progress: Progress,
        device: torch.device,
        *,
        repeat: Repeater | None = None,
        on_split: Callable[[str], None],
    ) -> None:
        self._learner, self._settings, self._update = learner, settings, update
        self._progress, self._device, self._on_split = progress, device, on_split
        # a transformer takes no row longer than its positions, padding or not
        self._repeat = None if find_transformer(learner.network) else repeat
        self._buffers: dict[object, _Buffers[B]] = {}
        self._batches: list[B] = []  # of this update
        self._before: tuple[list[Tensor], State | None] = [], None
        self._shortage = ""

    def add(self, batch: B) -> int:
        """Add a batch; returns the number of units that its loss sums over.

        When memory runs out, this update is computed again, and all that follow as it is then, in
        twice as many parts: the sums are the same, only dropout draws other numbers.

        Raises:
            TrainingError: a single row does not fit.
        """
        if not self._batches:
            self._before = _random_state(self._device), self._learner.carried
        self._batches.append(batch)
        if not self._fits(batch):
            self._split()
            while not all(self._fits(each) for each in self._batches):
                self._split()
        return self._learner.count(batch)

    def finish(self) -> None:
        """Begin the next update."""
        self._batches.clear()

    def _fits(self, batch: B) -> bool:
        """Add a batch in parts, unless memory runs out."""
        try:
            self._add_parts(batch)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if self._progress.parts >= batch.rows:
                raise TrainingError(
                    f"out of memory on {self._device} for a single row of batch "
                    f"{self._progress.batch:,} of epoch {self._progress.epoch + 1:,} "
                    f"({batch.description}); lower model.hidden_size, model.embedding_size, "
                    "data.max_source_tokens, data.max_target_tokens or training.window"
                ) from None
            self._shortage = batch.description
            return False
        return True

    def _split(self) -> None:
        """Go back to the beginning of the update, with twice as many parts."""
        random, carried = self._before
        self._progress.parts *= 2
        self._on_split(self._shortage)
        self._buffers.clear()
        if self._repeat is not None:
            self._repeat.forget()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        self._update.clear()
        self._learner.carried = carried
        _set_random_state(self._device, random)

    def _add_parts(self, batch: B) -> None:
        parts = min(self._progress.parts, batch.rows)
        if parts == 1:
            self._add(batch)
            return
        carried, after = self._learner.carried, list[State]()
        ends = [batch.rows * i // parts for i in range(parts + 1)]
        for start, end in pairwise(ends):
            self._learner.carried = _rows_of(carried, start, end, batch.rows)
            self._add(batch.part(start, end))
            if self._learner.carried is not None:
                after.append(self._learner.carried.map(Tensor.clone))
        self._learner.carried = after[0].join(after[1:]) if after else None

    def _add(self, batch: B) -> None:
        if self._repeat is None:
            self._run(batch)
            return
        batch, carried = batch.rounded(), self._learner.carried
        key = batch.key, None if carried is None else carried.h.shape
        if key not in self._buffers and self._repeat.is_full:
            with fixed_shapes():
                self._run(batch)
            return
        buffers = self._buffers.get(key)
        if buffers is None:
            buffers = self._buffers[key] = _Buffers(batch, carried, self._device)
        buffers.fill(batch, carried)
        self._repeat(key, lambda: self._run_static(buffers))
        self._learner.carried = buffers.after

    def _run_static(self, buffers: _Buffers[B]) -> None:
        self._learner.carried = buffers.before
        with fixed_shapes():
            self._run(buffers.batch, keeps_casts=False)
        if self._learner.carried is not None:
            buffers.keep(self._learner.carried)

    def _run(self, batch: B, *, keeps_casts: bool = True) -> None:
        settings = self._settings
        with mixed(settings.precision, self._device, keeps_casts=keeps_casts):
            loss = self._learner.loss(batch, label_smoothing=settings.label_smoothing)
        loss.backward()
        self._update.loss.add_(loss.detach())


class _Buffers(Generic[B]):
    """Tensors on the device that batches of one shape are copied into.

    Attributes:
        batch: over these tensors.
        before, after: the carried state that the batch reads and leaves; None if there is none.
    """

    def __init__(self, batch: B, carried: State | None, device: torch.device) -> None:
        tensors = batch.tensors()
        self._integers = torch.zeros(
            sum(x.numel() for x in tensors), dtype=torch.long, device=device
        )
        views: Sequence[Tensor] = torch.split(self._integers, [x.numel() for x in tensors])
        self.batch = batch.with_tensors(
            [view.view(x.shape) for view, x in zip(views, tensors, strict=True)]
        )
        self.before = None if carried is None else carried.map(torch.clone)
        self.after: State | None = None

    def fill(self, batch: B, carried: State | None) -> None:
        """Copy a batch and the state before it, without waiting."""
        integers = torch.cat([x.flatten() for x in batch.tensors()])
        if self._integers.is_cuda:
            integers = integers.pin_memory()  # the device copies only such memory by itself
        self._integers.copy_(integers, non_blocking=True)
        if self.before is not None and carried is not None:
            _copy(self.before, carried)

    def keep(self, carried: State) -> None:
        """Copy the state after the batch."""
        if self.after is None:  # at the warm-up, outside of any graph
            self.after = carried.map(torch.clone)
        else:
            _copy(self.after, carried)


def _copy(into: State, state: State) -> None:
    into.h.copy_(state.h)
    if into.c is not None and state.c is not None:
        into.c.copy_(state.c)


def _rows_of(carried: State | None, start: int, end: int, rows: int) -> State | None:
    """The state of some rows; None if it belongs to another number of rows."""
    if carried is None or carried.h.shape[1] != rows:
        return None
    return carried.map(lambda x: x[:, start:end])


def _random_state(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def _set_random_state(device: torch.device, states: Sequence[Any]) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
