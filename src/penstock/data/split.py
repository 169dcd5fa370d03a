"""Splits a corpus by source sentence into training, validation and test files.

Which sentences are held out depends on their text and the seed alone, so the order of the input
and the size of the other parts do not matter. The input is read three times and never held in
memory: choose, gather the held-out references, write the rest in shuffled order through buckets.
"""

from __future__ import annotations

import heapq
import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from penstock.data.formats.input_lines import STDIN
from penstock.data.formats.readers import ReadOptions, Source, read_pairs
from penstock.data.pair import Pair
from penstock.data.source_keys import fold, stable_hash
from penstock.errors import DataError, UsageError
from penstock.files import place, require_no_input

TRAIN, VALID, TEST = "train.tsv", "valid.jsonl", "test.jsonl"

_USUAL = 1000  # sentences held out for each purpose, where nothing is asked for
_BUCKET_PAIRS = 500_000
_MAX_BUCKETS = 200  # open files
_BREAKS = re.compile("[\t\n\r]+")


@dataclass(frozen=True, kw_only=True)
class SplitReport:
    """What `split_corpus` wrote.

    Args:
        train_pairs: pairs in `train.tsv`.
        valid_sources: sentences in `valid.jsonl`, each with all its references.
        test_sources: sentences in `test.jsonl`.
        dropped_pairs: pairs of other sources left out because their target is held out.
        cleaned_texts: texts in which a tab or line break became a space.
        files: what was written.
    """

    train_pairs: int
    valid_sources: int
    test_sources: int
    dropped_pairs: int
    cleaned_texts: int
    files: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        return asdict(self)


def split_corpus(
    source: Source,
    out: str | Path,
    *,
    valid: int | None = None,
    test: int | None = None,
    seed: int = 1,
    keep_shared_targets: bool = False,
    overwrite: bool = False,
    options: ReadOptions | None = None,
) -> SplitReport:
    """Write `train.tsv`, `valid.jsonl` and `test.jsonl` into a folder.

    No source stands in two of them, whatever its case, spacing and Unicode form, and no training
    pair has a target of a held-out source. A held-out source has all its targets in one object
    `{"source": …, "targets": […]}`. Files are complete or absent.

    Args:
        source: one file of pairs, or two line-parallel files; not standard input.
        out: the folder, made if need be.
        valid: distinct sources in the validation file; 0 for none. Default: 1,000, and of a file
            with fewer than 10,000 one in ten.
        test: distinct sources in the test file; as `valid`.
        seed: another seed holds out other sentences.
        keep_shared_targets: leave pairs in training whose target is also a held-out one; right for
            labels and pronunciations, where different sources share their targets.
        overwrite: replace the files of an earlier split.
        options: as for reading.

    Raises:
        DataError: too few distinct sources, nothing left to train on.
        UsageError: standard input or a pipe, an impossible size, or files already there.
    """
    out = Path(out)
    _check_call(source, out, valid, test, overwrite)
    options = options or ReadOptions()
    for_valid, for_test, rows = _choose(source, options, valid, test, seed)
    chosen = [*for_valid, *for_test]
    quiet = replace(options, report=_silent)  # what there is to tell was told in the first reading
    held = _gather(source, quiet, chosen, seed)
    targets = {fold(target) for _, texts in held.values() for target in texts}
    work = _Training(chosen, set() if keep_shared_targets else targets, seed)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".split-", dir=out) as folder:
            made = Path(folder)
            buckets = min(1 + rows // _BUCKET_PAIRS, _MAX_BUCKETS)
            work.write(read_pairs(source, quiet), made / TRAIN, buckets)
            _check_training(work, source)
            _write_held_out([held[key] for key in for_valid], made / VALID)
            _write_held_out([held[key] for key in for_test], made / TEST)
            names = [TRAIN, *([VALID] if for_valid else []), *([TEST] if for_test else [])]
            for name in names:
                place(made / name, out / name)
            for name in {VALID, TEST}.difference(names):
                (out / name).unlink(missing_ok=True)  # an earlier split's: it may leak into this
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", path=out) from None
    return SplitReport(
        train_pairs=work.written,
        valid_sources=len(for_valid),
        test_sources=len(for_test),
        dropped_pairs=work.dropped,
        cleaned_texts=work.cleaned,
        files=tuple(str(out / name) for name in names),
    )


def _silent(_: str) -> None:
    pass


def _check_call(
    source: Source, out: Path, valid: int | None, test: int | None, overwrite: bool
) -> None:
    paths = [source] if isinstance(source, str | Path) else list(source)
    if any(str(path) == STDIN or Path(path).is_fifo() for path in paths):
        raise UsageError("a split reads its data three times; save the stream to a file first")
    if min(valid or 0, test or 0) < 0 or (valid == 0 and test == 0):
        raise UsageError(f"valid {valid}, test {test}: at least one must be above 0, none below")
    files = [out / name for name in (TRAIN, VALID, TEST)]
    there = [str(file) for file in files if file.exists()]
    for file in files:
        require_no_input(file, paths)
    if there and not overwrite:
        raise UsageError(
            f"{', '.join(there)}: already there; choose another folder, or replace "
            "them by --overwrite"
        )


def _key(text: str, seed: int) -> int:
    return stable_hash(fold(text), seed)


def _choose(
    source: Source, options: ReadOptions, valid: int | None, test: int | None, seed: int
) -> tuple[list[int], list[int], int]:
    """The hashes of the sources held out for each purpose, and how many pairs were read."""
    enough = 10 * _USUAL if None in (valid, test) else 0  # to know whether one in ten is fewer
    smallest, rows = _smallest(source, options, max(enough, (valid or 0) + (test or 0)), seed)
    usual = max(1, min(_USUAL, len(smallest) // 10))
    valid, test = usual if valid is None else valid, usual if test is None else test
    if len(smallest) < valid + test:
        raise DataError(
            f"only {len(smallest)} distinct sources, and {valid + test} are to be held out; hold "
            "out fewer by --valid and --test",
            path=_name(source),
        )
    return smallest[:valid], smallest[valid : valid + test], rows


def _smallest(source: Source, options: ReadOptions, count: int, seed: int) -> tuple[list[int], int]:
    """The smallest hashes, at most `count` distinct ones, and how many pairs were read."""
    heap: list[int] = []  # negated: its first is the largest of those kept
    kept: set[int] = set()
    rows = 0
    for pair in read_pairs(source, options):
        rows += len(pair.targets)
        key = _key(pair.source, seed)
        if key in kept or (len(heap) == count and key > -heap[0]):
            continue
        kept.add(key)
        if len(heap) < count:
            heapq.heappush(heap, -key)
        else:
            kept.discard(-heapq.heapreplace(heap, -key))
    return sorted(kept), rows


def _gather(
    source: Source, options: ReadOptions, chosen: list[int], seed: int
) -> dict[int, tuple[str, list[str]]]:
    """Each chosen source as first spelt, with its distinct targets in order."""
    wanted = set(chosen)
    held: dict[int, tuple[str, list[str]]] = {}
    for pair in read_pairs(source, options):
        key = _key(pair.source, seed)
        if key in wanted:
            _, targets = held.setdefault(key, (pair.source, []))
            targets.extend(dict.fromkeys(text for text in pair.targets if text not in targets))
    if len(held) < len(wanted):
        raise DataError("changed while it was being split; try again", path=_name(source))
    return held


class _Training:
    """The pairs that are not held out, in an order that depends on the seed alone."""

    def __init__(self, chosen: Iterable[int], targets: set[str], seed: int) -> None:
        self._chosen = set(chosen)
        self._targets = targets
        self._seed = seed
        self.written = self.dropped = self.cleaned = 0

    def write(self, pairs: Iterable[Pair], path: Path, buckets: int) -> None:
        """Scatter the pairs over buckets by a random number; sort each bucket, one after another.

        That is a shuffle of the whole of which only one bucket is ever in memory.
        """
        paths = [path.with_name(f"bucket-{number}") for number in range(buckets)]
        files = [bucket.open("w", encoding="utf-8", newline="\n") for bucket in paths]
        try:
            for row in self._rows(pairs):
                random = stable_hash(f"order {self.written}", self._seed)
                files[random * buckets >> 64].write(f"{random:016x}\t{row}\n")
                self.written += 1
        finally:
            for file in files:
                file.close()
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for bucket in paths:
                with bucket.open(encoding="utf-8", newline="\n") as lines:
                    rows = sorted(lines)
                if rows and not file.tell() and rows[0].split("\t", 1)[1].startswith("\ufeff"):
                    file.write("\ufeff")  # the reader drops one
                file.writelines(row.split("\t", 1)[1] for row in rows)
                bucket.unlink()

    def _rows(self, pairs: Iterable[Pair]) -> Iterator[str]:
        for pair in pairs:
            if _key(pair.source, self._seed) in self._chosen:
                continue
            for target in pair.targets:
                if fold(target) in self._targets:
                    self.dropped += 1
                else:
                    yield f"{self._clean(pair.source)}\t{self._clean(target)}"

    def _clean(self, text: str) -> str:
        cleaned, times = _BREAKS.subn(" ", text)
        self.cleaned += bool(times)
        return cleaned


def _check_training(work: _Training, source: Source) -> None:
    if not work.written:
        raise DataError(
            f"no pair is left to train on ({work.dropped} have a held-out target); hold out fewer, "
            "or pass --keep-shared-targets if targets are labels",
            path=_name(source),
        )


def _write_held_out(examples: list[tuple[str, list[str]]], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for text, targets in examples:
            example = {"source": text, "targets": targets}
            file.write(json.dumps(example, ensure_ascii=False) + "\n")


def _name(source: Source) -> str:
    return str(source) if isinstance(source, str | Path) else " ".join(map(str, source))
