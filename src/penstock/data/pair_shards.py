# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# (pyarrow brings no types: what leaves this module is declared)
"""A large corpus, read and checked once: Arrow files of pairs that processes share out.

Files are grouped into jobs by their sizes alone, and each job writes a shard for every 65,536
pairs, so the shards are the same for any number of processes. A finished job is sealed, and kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from penstock.config import DataConfig
from penstock.data.corpus_reader import read_corpus
from penstock.data.formats.corpus_files import Names, expand, is_parallel, listed
from penstock.data.pair import Pair
from penstock.data.sealed_file import break_seal, cached, seal, verified
from penstock.data.source_keys import source_key
from penstock.data.worker_processes import run_jobs
from penstock.files import atomic_write, content_key, replacing

Report = Callable[[str], None]

JOB_BYTES = 8 * 2**20  # a corpus of fewer is read anew for every pass
SHARD_PAIRS = 65_536
_READING = {"columns", "language_column", "header", "on_error", "normalize"}


@dataclass(frozen=True)
class PairShards:
    """Checked pairs in files, but for those with an excluded source.

    Attributes:
        paths: the files.
        digests: hash of each file's text.
        excluded: keys of the sources to leave out (see `source_key`).
        sizes: files of each corpus.
    """

    paths: Sequence[Path]
    digests: Sequence[str]
    excluded: np.ndarray
    sizes: Sequence[int]

    def parts(self) -> list[PairShards]:
        """The corpora that were joined."""
        ends = list(accumulate(self.sizes))
        spans = [slice(end - size, end) for end, size in zip(ends, self.sizes, strict=True)]
        return [
            replace(self, paths=self.paths[s], digests=self.digests[s], sizes=[s.stop - s.start])
            for s in spans
        ]

    def __call__(self) -> Iterator[Pair]:
        """Stream the pairs."""
        return chain.from_iterable(read_shard(path, self.excluded) for path in self.paths)

    def every(self, stride: int) -> Iterator[Pair]:
        """Stream one pair in `stride`; only those are decoded."""
        before = 0
        for path in self.paths:
            rows: list[int] = []
            yield from read_shard(
                path, self.excluded, first=-before % stride, stride=stride, rows=rows
            )
            before += rows[0]

    def without(self, pairs: Sequence[Pair], seed: int) -> PairShards:
        """Leave out the sources of other pairs too."""
        keys = np.array([source_key(pair, seed) for pair in pairs], dtype=np.uint64)
        return replace(self, excluded=np.union1d(self.excluded, keys))

    def __len__(self) -> int:
        return sum(map(len, self.source_keys()))

    def number_of(self, keys: Iterable[int]) -> int:
        """How many of these source keys occur."""
        wanted = np.array(list(keys), dtype=np.uint64)
        found = [own[np.isin(own, wanted)] for own in self.source_keys()]
        return len(np.unique(np.concatenate(found))) if found else 0

    def source_keys(self) -> Iterator[np.ndarray]:
        """The source keys of each file's pairs, without excluded ones, one for each target."""
        import pyarrow as pa

        for path in self.paths:
            with pa.memory_map(str(path)) as file:
                batch = pa.ipc.open_file(file).get_batch(0)
                keys = batch.column("key").to_numpy()
                keys = np.repeat(keys, batch.column("targets").value_lengths().to_numpy())
            yield keys[~np.isin(keys, self.excluded)]

    @property
    def fingerprint(self) -> str:
        """A hash of the text."""
        return content_key(*self.digests, self.excluded.tobytes())

    def smallest_keys(self, count: int) -> list[int]:
        """The `count` smallest distinct source keys: a random sample of the sources."""
        smallest = np.array([], dtype=np.uint64)
        for keys in self.source_keys():
            smallest = np.unique(np.concatenate([smallest, keys]))[:count]
        return smallest.tolist()

    def with_keys(self, wanted: Sequence[int]) -> Iterator[Pair]:
        """The pairs whose sources have these keys."""
        chosen = np.array(wanted, dtype=np.uint64)
        return chain.from_iterable(read_shard(path, chosen, keep=True) for path in self.paths)


def join_shards(parts: Sequence[PairShards]) -> PairShards:
    """One after the other."""
    return PairShards(
        [path for part in parts for path in part.paths],
        [digest for part in parts for digest in part.digests],
        np.array([], dtype=np.uint64),
        [len(part.paths) for part in parts],
    )


def read_shard(
    path: Path,
    keys: np.ndarray,
    *,
    keep: bool = False,
    first: int = 0,
    stride: int = 1,
    rows: list[int] | None = None,
) -> Iterator[Pair]:
    """The pairs of a file without those that have one of the keys; or only those, to `keep`.

    From the `first` on, one in `stride` is given; `rows` gets the number without strides.
    """
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        batch = pa.ipc.open_file(file).get_batch(0)
        if keep or len(keys):
            found = np.isin(batch.column("key").to_numpy(), keys)
            batch = batch.filter(pa.array(found if keep else ~found))
        if rows is not None:
            rows.append(batch.num_rows)
        if stride > 1:
            batch = batch.take(pa.array(np.arange(first, batch.num_rows, stride)))
        columns = [batch.column(i).to_pylist() for i in range(3)]
    for source, targets, line in zip(*columns, strict=True):
        yield Pair(source, tuple(targets), line)


def is_large(names: Names) -> bool:
    """Whether a corpus is worth being divided among processes: its files fill several jobs."""
    sides = [expand(name) for name in listed(names)]
    return sum(_size(file) for file in chain(*sides)) > JOB_BYTES


def _size(file: str) -> int:
    path = Path(file)
    return path.stat().st_size if path.is_file() else 0


def import_shards(
    names: Names,
    data: DataConfig,
    folder: Path,
    report: Report,
    *,
    has_one_text: bool,
    seed: int,
    workers: int,
) -> PairShards:
    """Read and check a corpus into shards that are cached in `folder`, or find them there.

    Raises:
        DataError: unreadable data; the first unusable line.
    """
    shared = {
        "data": data.model_dump(mode="json", include=_READING),
        "has_one_text": has_one_text,
        "seed": seed,
        "max_pairs": data.max_pairs,
    }
    jobs: list[dict[str, Any]] = []
    for files in _jobs(names, whole=data.max_pairs is not None):
        job = {**shared, "names": files}
        about = [[Path(f).absolute().as_posix(), *_state(f)] for f in listed(files)]
        path = folder / f"pairs-{content_key(json.dumps([job, about]))}.json"
        jobs.append({"do": "read", **job, "path": str(path)})
    found: list[Mapping[str, Any]] = []
    reported: set[str] = set()
    for result in run_jobs(jobs, workers):
        for text in result["messages"]:
            what = text if text.startswith("skipped") else text.partition(": ")[2]  # no file name
            if what not in reported:
                reported.add(what)
                report(text)
        found += result["shards"]
    return PairShards(
        [folder / each["name"] for each in found],
        [each["digest"] for each in found],
        np.array([], dtype=np.uint64),
        [len(found)],
    )


def _jobs(names: Names, *, whole: bool) -> Iterator[list[str]]:
    """The files of each job, in order; two globs of parallel files side by side."""
    parallel = is_parallel(names)
    sides = [expand(name) for name in listed(names)] if parallel else [expand(names)]
    if whole or len({len(side) for side in sides}) > 1:  # the reader says what is wrong with them
        yield listed(names)
        return
    group: list[str] = []
    size = 0
    for files in zip(*sides, strict=True):
        if parallel:
            yield list(files)
            continue
        group += files
        size += _size(files[0])
        if size >= JOB_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _state(file: str) -> list[int]:
    found = Path(file).stat() if Path(file).exists() else None
    return [found.st_size, found.st_mtime_ns, found.st_ino] if found else []


def read_job(job: Mapping[str, Any]) -> dict[str, Any]:
    """Read a job's files into shards, unless that is done.

    Returns:
        Its `shards` (name, digest), and `messages` to report.
    """
    path = Path(job["path"])
    messages: list[str] = []
    if cached(path, messages.append) is not None:
        record = json.loads(path.read_text(encoding="utf-8"))
        kept = [verified(path.with_name(shard["name"])) is not None for shard in record["shards"]]
        if all(kept):
            return record
        messages.append(f"{path}: a shard of it is damaged or missing; it is made again")
    break_seal(path)
    pairs = read_corpus(
        job["names"],
        DataConfig.model_validate(job["data"]),
        messages.append,
        has_one_text=job["has_one_text"],
        max_pairs=job["max_pairs"],
    )
    shards: list[dict[str, Any]] = []
    while block := list(islice(pairs, SHARD_PAIRS)):
        shards.append(_write(path.with_name(f"{path.stem}-{len(shards):05}.arrow"), block, job))
    record = {"shards": shards, "messages": messages}
    atomic_write(path, json.dumps(record))
    seal(path)
    return record


def _write(path: Path, pairs: Sequence[Pair], job: Mapping[str, Any]) -> dict[str, Any]:
    import pyarrow as pa

    digest = hashlib.blake2b(digest_size=16)
    for pair in pairs:
        digest.update(("\t".join((pair.source, *pair.targets)) + "\n").encode())
    columns = {
        "source": pa.array([pair.source for pair in pairs], pa.string()),
        "targets": pa.array([pair.targets for pair in pairs], pa.list_(pa.string())),
        "line": pa.array([pair.line for pair in pairs], pa.int64()),
        "key": pa.array([source_key(pair, job["seed"]) for pair in pairs], pa.uint64()),
    }
    batch = pa.RecordBatch.from_pydict(columns)
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with replacing(path) as partial:
        with (
            pa.OSFile(str(partial), "wb") as sink,
            pa.ipc.new_file(sink, batch.schema, options=options) as out,
        ):
            out.write_batch(batch)
        break_seal(path)
    seal(path)
    return {"name": path.name, "digest": digest.hexdigest()}
