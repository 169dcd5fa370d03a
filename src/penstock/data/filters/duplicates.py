"""Pairs that come again, found on disk: memory does not grow with the corpus.

Each pair leaves 32 bytes: hashes of its two keys, its row and its line. They are scattered over
files by the hash of the wider key, so that equal keys meet in one file, which fits memory. What is
found there is scattered again, by row, and read back in the order of the corpus.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penstock.data.filters.candidate import Candidate

_HELD = 2**16  # pairs in memory before they go to disk
_BLOCK = 2**18  # rows whose duplicates are in memory
_BUCKET_SHIFT = np.uint64(56)  # 256 files
_PAIR = np.dtype([("near", "u8"), ("exact", "u8"), ("row", "u8"), ("line", "u8")])
_FOUND = np.dtype([("row", "u8"), ("first", "u8"), ("near", "u8")])
_MASK = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Repetition:
    """An earlier pair like this one: its line, and whether it is only nearly the same."""

    first_line: int
    is_near: bool


class DuplicateTable:
    """Finds duplicates among the pairs that were added.

    Args:
        folder: an empty one, for the files.
        exact: whether to find pairs of equal exact keys.
        near: whether to find pairs of equal near keys, of which equal exact keys are a part.
    """

    def __init__(self, folder: Path, *, exact: bool, near: bool) -> None:
        self._pairs = _Scattered(folder / "pairs", _PAIR)
        self._found = _Scattered(folder / "found", _FOUND)
        self._exact, self._near = exact, near
        self._held = array("Q")
        self._block = -1
        self._repetitions: dict[int, Repetition] = {}

    def add(self, row: int, pair: Candidate) -> None:
        """Add a pair; rows ascend."""
        # hash() differs between runs, which does not matter within one
        exact = hash(pair.exact_key) & _MASK
        near = hash(pair.near_key) & _MASK if self._near else exact
        self._held.extend((near, exact, row, pair.line))
        if len(self._held) == 4 * _HELD:
            self._flush()

    def search(self) -> None:
        """Find the duplicates, once all pairs have been added."""
        self._flush()
        for bucket in self._pairs.buckets():
            self._search(bucket)

    def find(self, row: int) -> Repetition | None:
        """What a row repeats; rows are asked for in ascending order."""
        block = row // _BLOCK
        if block != self._block:
            self._block = block
            found = self._found.read(block)
            self._repetitions = {
                row: Repetition(first, bool(near)) for row, first, near in found.tolist()
            }
        return self._repetitions.get(row)

    def _flush(self) -> None:
        pairs = np.frombuffer(self._held, np.uint64).view(_PAIR).copy()
        self._held = array("Q")
        self._pairs.add(pairs["near"] >> _BUCKET_SHIFT, pairs)

    def _search(self, bucket: int) -> None:
        pairs = self._pairs.read(bucket)
        pairs = pairs[np.lexsort((pairs["row"], pairs["near"]))]
        opens = _is_new(pairs["near"])  # a group of equal near keys, its first row first
        first = pairs[opens][np.cumsum(opens) - 1]
        by_exact = np.lexsort((pairs["row"], pairs["exact"], pairs["near"]))
        repeats = np.zeros(len(pairs), bool)
        repeats[by_exact] = ~(_is_new(pairs["near"][by_exact]) | _is_new(pairs["exact"][by_exact]))
        chosen = (repeats & self._exact) | (~opens & self._near)
        found = np.zeros(int(chosen.sum()), _FOUND)
        found["row"], found["first"] = pairs["row"][chosen], first["line"][chosen]
        found["near"] = ~repeats[chosen] | (not self._exact)
        self._found.add(found["row"] // np.uint64(_BLOCK), found)


def _is_new(keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which keys differ from the one before."""
    new = np.ones(len(keys), bool)
    new[1:] = keys[1:] != keys[:-1]
    return new


class _Scattered:
    """Records in numbered files."""

    def __init__(self, folder: Path, dtype: np.dtype[np.void]) -> None:
        self._folder, self._dtype = folder, dtype
        folder.mkdir()

    def add(self, numbers: NDArray[np.uint64], records: NDArray[np.void]) -> None:
        """Append each record to the file of its number, in order."""
        if not len(records):
            return
        order = np.argsort(numbers, kind="stable")
        found, starts = np.unique(numbers[order], return_index=True)
        groups = np.split(records[order], starts[1:])
        for number, group in zip(found.tolist(), groups, strict=True):
            with (self._folder / str(number)).open("ab") as file:
                file.write(group.tobytes())

    def buckets(self) -> list[int]:
        """The numbers that have records."""
        return sorted(int(file.name) for file in self._folder.iterdir())

    def read(self, number: int) -> NDArray[np.void]:
        """The records of a number; they are removed."""
        path = self._folder / str(number)
        if not path.exists():
            return np.zeros(0, self._dtype)
        records = np.fromfile(path, self._dtype)
        path.unlink()
        return records
