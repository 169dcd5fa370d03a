"""Batches: the chapter's X, X_valid_len, Y, Y_valid_len, and their order in an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad as pad_tensor

from penstock.data.padding import Rows, cut_by_tokens, padded_ids
from penstock.data.store import PairStore, Ragged
from penstock.text import BOS_ID, PAD_ID
from penstock.training.processes import WHOLE, Share

WINDOW_BLOCKS = 32  # pairs shuffled together: 32 x 8192; a smaller corpus is shuffled whole


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded ids with their valid lengths.

    Attributes:
        src: (B, S), each row ends with EOS before its padding.
        src_lengths: (B,).
        tgt_in: (B, T), begins with BOS.
        tgt_out: (B, T), ends with EOS.
        tgt_lengths: (B,).
    """

    src: Tensor
    src_lengths: Tensor
    tgt_in: Tensor
    tgt_out: Tensor
    tgt_lengths: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device; `tgt_lengths` stays on the CPU, where it is summed."""
        src, lengths, tgt_in, tgt_out = (
            x.to(device, non_blocking=True)
            for x in (self.src, self.src_lengths, self.tgt_in, self.tgt_out)
        )
        return Batch(src, lengths, tgt_in, tgt_out, self.tgt_lengths)

    @property
    def rows(self) -> int:
        """B."""
        return len(self.src)

    @property
    def description(self) -> str:
        """Its shape, for messages."""
        return f"{self.rows} × {self.src.shape[1]} source and {self.tgt_out.shape[1]} target tokens"

    def part(self, start: int, stop: int) -> Batch:
        """Some of the rows, as wide as they need to be."""
        lengths, own = self.src_lengths[start:stop], self.tgt_lengths[start:stop]
        s, t = int(lengths.max()), int(own.max())
        src, tgt_in, tgt_out = (x[start:stop] for x in (self.src, self.tgt_in, self.tgt_out))
        return Batch(src[:, :s], lengths, tgt_in[:, :t], tgt_out[:, :t], own)

    def rounded(self) -> Batch:
        """The same with more padding, so that shapes are few.

        A row of padding has one source token, `<pad>`, and no target.
        """
        rows = rounded_size(self.rows) - self.rows
        src, tgt_in, tgt_out = (
            pad_tensor(x, (0, rounded_size(x.shape[1]) - x.shape[1], 0, rows), value=PAD_ID)
            for x in (self.src, self.tgt_in, self.tgt_out)
        )
        src_lengths = pad_tensor(self.src_lengths, (0, rows), value=1)
        return Batch(src, src_lengths, tgt_in, tgt_out, pad_tensor(self.tgt_lengths, (0, rows)))

    @property
    def key(self) -> tuple[object, ...]:
        """Its shapes."""
        return tuple(x.shape for x in self.tensors())

    def tensors(self) -> list[Tensor]:
        """What a device needs of it."""
        return [self.src, self.src_lengths, self.tgt_in, self.tgt_out]

    def with_tensors(self, tensors: Sequence[Tensor]) -> Batch:
        """The same with other `tensors`."""
        src, src_lengths, tgt_in, tgt_out = tensors
        return Batch(src, src_lengths, tgt_in, tgt_out, self.tgt_lengths)


def rounded_size(size: int) -> int:
    """Round up to an even number; above 128 to a multiple of a 32nd to a 64th of the size."""
    step = max(2, 1 << max(0, (size - 1).bit_length() - 6))
    return -(-size // step) * step


def collate(sources: Rows, targets: Rows) -> Batch:
    """Pad rows of ids (each ending with EOS) into a batch."""
    src, src_lengths = pad(sources)
    tgt_out, tgt_lengths = pad(targets)
    tgt_in = torch.roll(tgt_out, 1, dims=1)
    tgt_in[:, 0] = BOS_ID
    # the roll moved a full row's EOS off the end and a short row's EOS onto its padding
    positions = torch.arange(tgt_in.shape[1])
    tgt_in[positions >= tgt_lengths[:, None]] = PAD_ID
    return Batch(src, src_lengths, tgt_in, tgt_out, tgt_lengths)


def pad(rows: Rows) -> tuple[Tensor, Tensor]:
    """Rows of ids to (B, S) padded with PAD and (B,) lengths."""
    ids, lengths = padded_ids(rows)
    return torch.from_numpy(ids), torch.from_numpy(lengths)


_Planned = tuple[Ragged, Ragged, np.ndarray]  # sources, targets, and the rows of a batch


class EpochSampler:
    """The batches of an epoch; the order depends on seed and epoch alone, so runs can resume.

    Pairs of similar length share a batch. Blocks are read in random order, one window at a time;
    within a window, pairs are sorted by target then source length with random ties, divided into
    batches, and the batches shuffled.

    Args:
        store: the tokenised corpus.
        batch_tokens: positions per batch, padding included, on the side that `budget` names.
        batch_sentences: a fixed number of pairs per batch instead, in purely random order.
        seed: of the shuffling.
        budget: `target`, or `source` where the target is a label or nothing.
    """

    def __init__(
        self,
        store: PairStore,
        *,
        batch_tokens: int,
        batch_sentences: int | None = None,
        seed: int = 1,
        budget: Literal["target", "source"] = "target",
    ) -> None:
        self.store = store
        self.batch_tokens = batch_tokens
        self.budget = budget
        self.batch_sentences = batch_sentences
        self.seed = seed

    def epoch(self, number: int, *, skip: int = 0, share: Share = WHOLE) -> Iterator[Batch]:
        """The batches of epoch `number` (from 0) without the first `skip`; of them, a share."""
        planned = islice(self._planned(number), skip, None)
        for sources, targets, rows in share.select(planned, _cost):
            yield collate([sources.row(i) for i in rows], [targets.row(i) for i in rows])

    def _planned(self, number: int) -> Iterator[_Planned]:
        random = np.random.default_rng([self.seed, number])
        blocks = self.store.epoch_blocks(random)
        for start in range(0, len(blocks), WINDOW_BLOCKS):
            sources, targets = self.store.read(blocks[start : start + WINDOW_BLOCKS])
            for rows in self._cut(sources.lengths, targets.lengths, random):
                yield sources, targets, rows

    def _cut(
        self, src_lengths: np.ndarray, tgt_lengths: np.ndarray, random: np.random.Generator
    ) -> list[np.ndarray]:
        if self.batch_sentences is not None:
            order = random.permutation(len(tgt_lengths))
            return np.split(order, range(self.batch_sentences, len(order), self.batch_sentences))
        ties = random.permutation(len(tgt_lengths))
        if self.budget == "source":
            src_lengths, tgt_lengths = tgt_lengths, src_lengths
        order = np.lexsort((ties, src_lengths, tgt_lengths))
        batches = cut_by_tokens(order, tgt_lengths[order], self.batch_tokens)
        return [batches[i] for i in random.permutation(len(batches))]


def _cost(batch: _Planned) -> int:
    """The positions of a batch, padding included."""
    sources, targets, rows = batch
    return len(rows) * int(sources.lengths[rows].max() + targets.lengths[rows].max())
