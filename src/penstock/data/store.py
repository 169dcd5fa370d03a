# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow brings no types: what leaves this module is declared)
"""Tokenized pairs in a memory-mapped Arrow file, read block by block.

A store is written once, streaming, and cached by content. It is mapped anew for each window of
blocks, so that neither the heap nor the map's resident pages grow with the corpus.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.data.pair import Pair
from penstock.data.sealed_file import Report, break_seal, cached, seal
from penstock.errors import DataError
from penstock.files import replacing
from penstock.text import EOS_ID, UNK_ID, Tokenizer

BLOCK_PAIRS = 8192
_IDS = pa.list_(pa.int32())
_SCHEMA = [("source", _IDS), ("target", _IDS)]


@dataclass(frozen=True)
class StoreCounts:
    """Size of a store, and how much was truncated or unknown."""

    pairs: int = 0
    source_tokens: int = 0
    target_tokens: int = 0
    truncated_sources: int = 0
    truncated_targets: int = 0
    unknown_source_tokens: int = 0
    unknown_target_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Ragged:
    """Concatenated rows of ids of unequal length: row i is `values[offsets[i]:offsets[i + 1]]`."""

    offsets: np.ndarray
    values: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """(rows,) lengths."""
        return np.diff(self.offsets)

    def row(self, index: int) -> np.ndarray:
        """The ids of one row."""
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    @classmethod
    def join(cls, parts: list[Ragged]) -> Ragged:
        """Concatenate."""
        lengths = np.concatenate([part.lengths for part in parts])
        values = np.concatenate([p.values[p.offsets[0] : p.offsets[-1]] for p in parts])
        return cls(np.concatenate([[0], np.cumsum(lengths)]), values)


class PairStore:
    """Read access to a store; sources and targets both end with EOS."""

    def __init__(self, path: Path, counts: StoreCounts) -> None:
        self.path = path
        self.counts = counts
        with pa.memory_map(str(self.path)) as file:
            reader = pa.ipc.open_file(file)
            self.num_blocks: int = reader.num_record_batches

    def __len__(self) -> int:
        return self.counts.pairs

    def read(self, blocks: Iterable[int]) -> tuple[Ragged, Ragged]:
        """Copy the sources and targets of blocks, in that order."""
        sources: list[Ragged] = []
        targets: list[Ragged] = []
        with pa.memory_map(str(self.path)) as file:
            reader = pa.ipc.open_file(file)
            for index in blocks:
                batch = reader.get_batch(index)
                sources.append(_ragged(batch.column(0)))
                targets.append(_ragged(batch.column(1)))
            return Ragged.join(sources), Ragged.join(targets)


def _ragged(column: Any) -> Ragged:
    return Ragged(column.offsets.to_numpy(), column.values.to_numpy())


def write_store(
    path: str | Path,
    pairs: Iterable[Pair],
    source: Tokenizer,
    target: Tokenizer,
    *,
    max_source_tokens: int,
    max_target_tokens: int,
) -> PairStore:
    """Tokenize `pairs`, one row per target, and write them to `path`.

    Sequences longer than the limits (EOS included) are cut before EOS and counted.

    Raises:
        DataError: there are no pairs.
    """
    path = Path(path)
    schema = pa.schema(_SCHEMA)
    totals: dict[str, int] = dict.fromkeys(asdict(StoreCounts()), 0)
    sides = (("source", source, max_source_tokens), ("target", target, max_target_tokens))
    with replacing(path) as partial:
        with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, schema) as out:
            for block in _blocks(pairs):
                totals["pairs"] += len(block)
                texts = zip(*block, strict=True)
                columns = [
                    pa.array(_encode(tokenizer, column, limit, totals, side), _IDS)
                    for (side, tokenizer, limit), column in zip(sides, texts, strict=True)
                ]
                out.write_batch(pa.record_batch(columns, schema=schema))
        if not totals["pairs"]:
            raise DataError("no training pairs: the data is empty; give a file with pairs")
        break_seal(path)
    seal(path, totals)
    return PairStore(path, StoreCounts(**totals))


def open_store(path: str | Path, report: Report) -> PairStore | None:
    """The store at `path`; None if there is no whole one, and damage is reported."""
    counts = cached(Path(path), report)
    return None if counts is None else PairStore(Path(path), StoreCounts(**counts))


def _blocks(pairs: Iterable[Pair]) -> Iterator[list[tuple[str, str]]]:
    flat = ((pair.source, target) for pair in pairs for target in pair.targets)
    while block := list(islice(flat, BLOCK_PAIRS)):
        yield block


def _encode(
    tokenizer: Tokenizer, texts: Sequence[str], limit: int, totals: dict[str, int], side: str
) -> list[list[int]]:
    rows = tokenizer.encode_sources(texts) if side == "source" else tokenizer.encode_batch(texts)
    for i, row in enumerate(rows):
        if len(row) >= limit:
            row = row[: limit - 1]
            totals[f"truncated_{side}s"] += 1
        rows[i] = [*row, EOS_ID]
        totals[f"{side}_tokens"] += len(row) + 1
        totals[f"unknown_{side}_tokens"] += row.count(UNK_ID)
    return rows
