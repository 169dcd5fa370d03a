"""Split a corpus by source sentence into training, validation and test files.

Which sentences are held out depends on their text and the seed alone, not on the order of the input
or the sizes of other parts. The input is read three times and never kept in memory: choose, collect
the held-out references, write the rest in shuffled order through buckets.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from penstock.data.formats.corpus_files import expand, listed, shown
from penstock.data.formats.input_lines import STDIN
from penstock.data.formats.readers import ReadOptions, Source, ignore, read_pairs
from penstock.data.pair import Pair
from penstock.data.source_keys import fold, smallest_keys, source_key, stable_hash
from penstock.errors import DataError, UsageError
from penstock.files import place, require_no_input

TRAIN, VALID, TEST = "train.tsv", "valid.jsonl", "test.jsonl"

_DEFAULT = 1000  # sentences per held-out file by default
_BUCKET_PAIRS = 500_000
_MAX_BUCKETS = 200  # open files
_BREAKS = re.compile("[\t\n\r]+")


@dataclass(frozen=True, kw_only=True)
class SplitReport:
    """The result of `split_corpus`.

    Args:
        train_pairs: pairs in `train.tsv`.
        valid_sources: sentences in `valid.jsonl`, each with all its references.
        test_sources: sentences in `test.jsonl`.
        dropped_pairs: pairs of other sources dropped because their target is held out.
        cleaned_texts: texts in which a tab or line break became a space.
        files: paths of the written files.
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

    No source is in two of them, ignoring case, spacing and Unicode form, and no training pair has a
    target of a held-out source. A held-out source has all its targets in one object
    `{"source": …, "targets": […]}`. Files are complete or absent.

    Args:
        source: files of pairs, or two line-parallel files (see `read_pairs`); not standard input.
        out: the output folder.
        valid: distinct sources in the validation file; 0 for none. Default: 1,000, but at most one
            in ten.
        test: distinct sources in the test file; see `valid`.
        seed: decides which sentences are held out.
        keep_shared_targets: keep training pairs whose target is also a held-out one; right for
            labels and pronunciations, where different sources share their targets.
        overwrite: replace the files of an earlier split.
        options: see `read_pairs`.

    Raises:
        DataError: too few distinct sources, nothing left to train on.
        UsageError: standard input or a pipe, an impossible size, or files already there.
    """
    out = Path(out)
    _check_call(source, out, valid, test, overwrite)
    options = options or ReadOptions()
    for_valid, for_test, rows = _choose(source, options, valid, test, seed)
    chosen = [*for_valid, *for_test]
    quiet = replace(options, report=ignore)  # the first pass has reported everything
    held = _gather(source, quiet, chosen, seed)
    targets = {fold(target) for _, texts in held.values() for target in texts}
    kept = set[str]() if keep_shared_targets else targets
    work = _TrainingFile(chosen, kept, seed, has_columns=options.choice.is_several)
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
                (out / name).unlink(missing_ok=True)  # an earlier split's may leak into this one
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


def _check_call(
    source: Source, out: Path, valid: int | None, test: int | None, overwrite: bool
) -> None:
    paths = [file for name in listed(source) for file in expand(name)]
    if any(path == STDIN or Path(path).is_fifo() for path in paths):
        raise UsageError("a split reads its data three times; save the stream to a file first")
    if min(valid or 0, test or 0) < 0 or (valid == 0 and test == 0):
        raise UsageError(f"valid {valid}, test {test}: at least one must be above 0, none below")
    files = [out / name for name in (TRAIN, VALID, TEST)]
    existing = [str(file) for file in files if file.exists()]
    for file in files:
        require_no_input(file, paths)
    if existing and not overwrite:
        raise UsageError(
            f"{', '.join(existing)}: already there; choose another folder, or replace "
            "them by --overwrite"
        )


def _choose(
    source: Source, options: ReadOptions, valid: int | None, test: int | None, seed: int
) -> tuple[list[int], list[int], int]:
    """The hashes of the validation and test sources, and the number of pairs."""
    enough = 10 * _DEFAULT if None in (valid, test) else 0  # to know whether one in ten is fewer
    rows = 0

    def counted() -> Iterator[Pair]:
        nonlocal rows
        for pair in read_pairs(source, options):
            rows += len(pair.targets)
            yield pair

    smallest = smallest_keys(counted(), max(enough, (valid or 0) + (test or 0)), seed)
    default = max(1, min(_DEFAULT, len(smallest) // 10))
    valid, test = default if valid is None else valid, default if test is None else test
    if len(smallest) < valid + test:
        raise DataError(
            f"only {len(smallest)} distinct sources, and {valid + test} are to be held out; hold "
            "out fewer by --valid and --test",
            path=shown(source),
        )
    return smallest[:valid], smallest[valid : valid + test], rows


def _gather(
    source: Source, options: ReadOptions, chosen: list[int], seed: int
) -> dict[int, tuple[str, list[str]]]:
    """Each chosen source in its first spelling, with its distinct targets in order."""
    wanted = set(chosen)
    held: dict[int, tuple[str, list[str]]] = {}
    for pair in read_pairs(source, options):
        key = source_key(pair, seed)
        if key in wanted:
            _, targets = held.setdefault(key, (pair.source, []))
            targets.extend(dict.fromkeys(text for text in pair.targets if text not in targets))
    if len(held) < len(wanted):
        raise DataError("changed while it was being split; try again", path=shown(source))
    return held


class _TrainingFile:
    """Writer of the pairs that are not held out, shuffled by seed."""

    def __init__(
        self, chosen: Iterable[int], targets: set[str], seed: int, *, has_columns: bool
    ) -> None:
        self._chosen = set(chosen)
        self._targets = targets
        self._seed = seed
        self._has_columns = has_columns
        self.written = self.dropped = self.cleaned = 0

    def write(self, pairs: Iterable[Pair], path: Path, buckets: int) -> None:
        """Scatter the pairs over buckets by a random number, then sort each bucket.

        This shuffles the whole file with only one bucket in memory at a time.
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
            if source_key(pair, self._seed) in self._chosen:
                continue
            for target in pair.targets:
                if fold(target) in self._targets:
                    self.dropped += 1
                else:
                    source = pair.source.split("\t") if self._has_columns else [pair.source]
                    yield "\t".join(map(self._clean, [*source, target]))

    def _clean(self, text: str) -> str:
        cleaned, times = _BREAKS.subn(" ", text)
        self.cleaned += bool(times)
        return cleaned


def _check_training(work: _TrainingFile, source: Source) -> None:
    if not work.written:
        raise DataError(
            f"no pair is left to train on ({work.dropped} have a held-out target); hold out fewer, "
            "or pass --keep-shared-targets if targets are labels",
            path=shown(source),
        )


def _write_held_out(examples: list[tuple[str, list[str]]], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for text, targets in examples:
            example = {"source": text, "targets": targets}
            file.write(json.dumps(example, ensure_ascii=False) + "\n")
