"""Replay: old examples mixed in with new ones, so that a model does not forget.

As in an epoch of new examples alone, each is seen once; the order depends on seed and epoch alone,
so runs can resume.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Protocol, TypeVar

import torch

from penstock.training.learner import TrainingBatch
from penstock.training.processes import WHOLE, Share
from penstock.training.windows import Window, WindowSampler

B = TypeVar("B", bound=TrainingBatch, covariant=True)
_FURTHER = 2**20  # passes over the old data within an epoch are numbered from its multiples


class Sampler(Protocol[B]):
    """Batches of an epoch."""

    def epoch(self, number: int, *, skip: int = 0, share: Share = WHOLE) -> Iterator[B]:
        """The batches of epoch `number` (from 0) without the first `skip`; of them, a share."""
        ...


@dataclass(frozen=True)
class ReplaySampler(Sampler[B]):
    """Batches of new examples, and old ones evenly between them.

    Attributes:
        new: each of its batches is given once per epoch.
        old: its batches are a random sample, another one in each epoch.
        share: of the old batches among all.
    """

    new: Sampler[B]
    old: Sampler[B]
    share: float

    def epoch(self, number: int, *, skip: int = 0, share: Share = WHOLE) -> Iterator[B]:
        """The batches of epoch `number` (from 0) without the first `skip`; of them, a share."""
        return share.select(self._all(number, skip), _positions)

    def _all(self, number: int, skip: int) -> Iterator[B]:
        replayed = int(self.share * skip)  # see below: of the first n batches
        new = self.new.epoch(number, skip=skip - replayed)
        old = _endless(self.old, number, skip=replayed)
        for position in count(skip):
            source = old if int(self.share * (position + 1)) > int(self.share * position) else new
            batch = next(source, None)
            if batch is None:
                return
            yield batch


@dataclass(frozen=True)
class ReplayWindows(Sampler[Window]):
    """Windows whose last rows read an old text, each on from where it stopped.

    Attributes:
        new: each of its windows is given once per epoch.
        old: begun again when it ends before the new text does.
    """

    new: WindowSampler
    old: WindowSampler

    def epoch(self, number: int, *, skip: int = 0, share: Share = WHOLE) -> Iterator[Window]:
        """The windows of epoch `number` (from 0) without the first `skip`; of them, a share."""
        rows, width = self.old.own_rows(share), self.old.window
        windows = _endless(self.old, number, share=share)
        whole = (w for w in windows if w.inputs.shape == (rows, width))
        old = islice(whole, skip // share.count, None)
        new = self.new.epoch(number, skip=skip, share=share)
        for window, replayed in zip(new, old, strict=False):
            width = window.inputs.shape[1]  # the last window of an epoch may be shorter
            yield Window(
                torch.cat([window.inputs, replayed.inputs[:, :width]]),
                torch.cat([window.targets, replayed.targets[:, :width]]),
                window.resets_state,
            )


def _positions(batch: TrainingBatch) -> int:
    return sum(tensor.numel() for tensor in batch.tensors())


def _endless(
    sampler: Sampler[B], number: int, *, skip: int = 0, share: Share = WHOLE
) -> Iterator[B]:
    """Batches for epoch `number` of another sampler, in as many passes as it takes."""
    passes = (sampler.epoch(_FURTHER * number + further, share=share) for further in count())
    return islice(chain.from_iterable(passes), skip, None)
