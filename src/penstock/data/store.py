# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow brings no types: what leaves this module is declared)
"""Tokenized pairs in a memory-mapped Arrow file, read block by block.

A store is written once, streaming, and cached by content. It is mapped anew for each window of
blocks, so that neither the heap nor the map's resident pages grow with the corpus.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from penstock.data.pair import Pair
from penstock.data.pair_shards import PairShards, read_shard
from penstock.data.sealed_file import Report, break_seal, cached, seal
from penstock.data.worker_processes import run_jobs
from penstock.errors import DataError
from penstock.files import replacing
from penstock.text import EOS_ID, UNK_ID, Tokenizer

BLOCK_PAIRS = 8192
_EMPTY = "no training pairs: the data is empty; give a file with pairs"
_IDS = pa.list_(pa.int32())
_SCHEMA = [("source", _IDS), ("target", _IDS)]


Block = int | tuple[int, float, int]  # its number; or with a share of its rows, and their seed


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

    def select(self, rows: np.ndarray) -> Ragged:
        """Some of the rows, in that order."""
        values = [self.row(i) for i in rows]
        lengths = [0, *(len(row) for row in values)]
        return Ragged(np.cumsum(lengths), np.concatenate([*values, self.values[:0]]))

    @classmethod
    def join(cls, parts: list[Ragged]) -> Ragged:
        """Concatenate."""
        lengths = np.concatenate([part.lengths for part in parts])
        values = np.concatenate([p.values[p.offsets[0] : p.offsets[-1]] for p in parts])
        return cls(np.concatenate([[0], np.cumsum(lengths)]), values)


class PairStore:
    """Read access to a store of one or several files; sources and targets both end with EOS."""

    def __init__(self, paths: Sequence[Path], counts: StoreCounts) -> None:
        self.counts = counts
        self.paths = list(paths)
        self._blocks: list[tuple[Path, int]] = []
        for path in paths:
            with pa.memory_map(str(path)) as file:
                number: int = pa.ipc.open_file(file).num_record_batches
            self._blocks += [(path, i) for i in range(number)]
        self.num_blocks = len(self._blocks)

    def __len__(self) -> int:
        return self.counts.pairs

    def epoch_blocks(self, random: np.random.Generator) -> list[Block]:
        """What an epoch reads, in random order."""
        return random.permutation(self.num_blocks).tolist()

    def read(self, blocks: Iterable[Block]) -> tuple[Ragged, Ragged]:
        """Copy the sources and targets of blocks, in that order."""
        sources: list[Ragged] = []
        targets: list[Ragged] = []
        with ExitStack() as stack:
            readers: dict[Path, Any] = {}
            for path, index in (self._blocks[block] for block in blocks if isinstance(block, int)):
                if path not in readers:
                    file = stack.enter_context(pa.memory_map(str(path)))
                    readers[path] = pa.ipc.open_file(file)
                batch = readers[path].get_batch(index)
                sources.append(_ragged(batch.column(0)))
                targets.append(_ragged(batch.column(1)))
            return Ragged.join(sources), Ragged.join(targets)


class MixedStore(PairStore):
    """Several stores of which each has a share of an epoch, whatever its size.

    An epoch has as many pairs as all of them. A store that is short for its share comes as often as
    that takes, one that is long in part, another random part in each epoch.

    Attributes:
        repeats: how often the pairs of each store come per epoch, on average.
    """

    def __init__(self, stores: Sequence[PairStore], shares: Sequence[float]) -> None:
        totals = {key: sum(asdict(s.counts)[key] for s in stores) for key in asdict(StoreCounts())}
        super().__init__([path for store in stores for path in store.paths], StoreCounts(**totals))
        pairs = len(self)
        self.repeats = [
            share / sum(shares) * pairs / len(s) for s, share in zip(stores, shares, strict=True)
        ]
        self._repeats = np.repeat(self.repeats, [store.num_blocks for store in stores])

    def epoch_blocks(self, random: np.random.Generator) -> list[Block]:
        """Whole blocks, and random parts of blocks."""
        blocks: list[Block] = []
        for block, repeat in enumerate(self._repeats.tolist()):
            whole, part = divmod(repeat, 1)
            blocks += [block] * int(whole)
            if part > 0:
                blocks.append((block, part, int(random.integers(2**63))))
        return [blocks[i] for i in random.permutation(len(blocks))]

    def read(self, blocks: Iterable[Block]) -> tuple[Ragged, Ragged]:
        """Copy the sources and targets of blocks, or of a random part of their rows."""
        listed = list(blocks)
        sides = [super(MixedStore, self).read([b if isinstance(b, int) else b[0]]) for b in listed]
        for i, block in enumerate(listed):
            if not isinstance(block, int):
                random = np.random.default_rng(block[2])
                count = len(sides[i][0].lengths)
                size = int(block[1] * count + random.random())  # as many on average
                rows = np.sort(random.permutation(count)[:size])
                sides[i] = (sides[i][0].select(rows), sides[i][1].select(rows))
        sources, targets = zip(*sides, strict=True)
        return Ragged.join(list(sources)), Ragged.join(list(targets))


def mixture_shares(
    sizes: Sequence[int], weights: Sequence[float] | None, temperature: float | None
) -> list[float]:
    """The shares of corpora: weights times sizes to the power of 1/temperature, if there is one."""
    by_size = [1.0] * len(sizes) if temperature is None else [n ** (1 / temperature) for n in sizes]
    shares = [w * s for w, s in zip(weights or [1.0] * len(sizes), by_size, strict=True)]
    return [share / sum(shares) for share in shares]


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
    may_be_empty: bool = False,
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
        if not totals["pairs"] and not may_be_empty:
            raise DataError(_EMPTY)
        break_seal(path)
    seal(path, totals)
    return PairStore([path], StoreCounts(**totals))


def store_shards(
    shards: PairShards,
    folder: Path,
    name: str,
    source: Tokenizer,
    target: Tokenizer,
    *,
    limits: tuple[int, int],
    workers: int,
    report: Report,
) -> PairStore:
    """Tokenize shards into a file each, in `folder`; whole ones are kept.

    Raises:
        DataError: no pair is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    excluded = folder / f"{name}.npy"
    with replacing(excluded) as partial, partial.open("wb") as file:
        np.save(file, shards.excluded)
    tokenizers = [source.to_json(), target.to_json()]
    jobs: list[dict[str, Any]] = [
        {
            "do": "store",
            "shard": str(shard),
            "path": str(folder / f"{name}-{number:05}.arrow"),
            "excluded": str(excluded),
            "tokenizers": tokenizers,
            "limits": limits,
        }
        for number, shard in enumerate(shards.paths)
    ]
    totals: dict[str, int] = dict.fromkeys(asdict(StoreCounts()), 0)
    for result in run_jobs(jobs, workers):
        for text in result["messages"]:
            report(text)
        for key, count in result["counts"].items():
            totals[key] += count
    if not totals["pairs"]:
        raise DataError(_EMPTY)
    return PairStore([Path(job["path"]) for job in jobs], StoreCounts(**totals))


def store_job(job: Mapping[str, Any]) -> dict[str, Any]:
    """Tokenize one shard, unless that is done.

    Returns:
        The `counts`, and `messages` to report.
    """
    path = Path(job["path"])
    messages: list[str] = []
    store = open_store(path, messages.append)
    if store is None:
        pairs = read_shard(Path(job["shard"]), np.load(job["excluded"]))
        source, target = _tokenizers(*job["tokenizers"])
        s, t = job["limits"]
        store = write_store(
            path, pairs, source, target, max_source_tokens=s, max_target_tokens=t, may_be_empty=True
        )
    return {"counts": asdict(store.counts), "messages": messages}


@lru_cache(maxsize=1)
def _tokenizers(source: str, target: str) -> tuple[Tokenizer, Tokenizer]:
    return Tokenizer.from_json(source), Tokenizer.from_json(target)


def open_store(path: str | Path, report: Report) -> PairStore | None:
    """The store at `path`; None if there is no whole one, and damage is reported."""
    counts = cached(Path(path), report)
    return None if counts is None else PairStore([Path(path)], StoreCounts(**counts))


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
