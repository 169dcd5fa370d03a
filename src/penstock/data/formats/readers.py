"""Pairs from TSV, CSV, JSONL, line-parallel files or standard input, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Literal

from penstock.config import DataConfig
from penstock.data.formats.column_choice import ColumnChoice, Columns, Header, as_columns
from penstock.data.formats.corpus_files import expand, is_parallel, listed
from penstock.data.formats.format_table import reader_of
from penstock.data.formats.input_lines import STDIN, BadLineError, Line, scan_lines
from penstock.data.formats.records import Record, make_pair, read_tsv
from penstock.data.pair import Pair
from penstock.errors import DataError, UsageError
from penstock.text.lines import is_blank

Source = str | Path | Sequence[str | Path]

_LISTED = 10


def ignore(_: str) -> None:
    """Report nothing."""


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How to read pairs.

    Args:
        columns: source and target column, each a 1-based number or a name; several columns of the
            source as a tuple, joined by tabs: `((1, 3), 2)`. A name makes the first row a header;
            in JSONL it is the key. Default: the first two, `source` and `target`.
        header: whether the first row of a table is a header; `auto` recognises one.
        on_error: `stop` at the first unusable line, or `skip` such lines and report them.
        max_pairs: read exactly this many pairs, if there are as many.
        report: called with a message about what was ignored or skipped.
    """

    columns: Columns | None = None
    header: Header = "auto"
    on_error: Literal["stop", "skip"] = "stop"
    max_pairs: int | None = None
    report: Callable[[str], None] = ignore

    def __post_init__(self) -> None:
        if self.max_pairs is not None and self.max_pairs < 1:
            raise UsageError(f"max_pairs {self.max_pairs}: must be at least 1")
        if self.on_error not in ("stop", "skip"):
            raise UsageError(f"on_error {self.on_error!r}: choose stop or skip")
        ColumnChoice(self.columns, self.header)

    @property
    def choice(self) -> ColumnChoice:
        """The columns to read."""
        return ColumnChoice(self.columns, self.header)

    def as_trained(self, data: DataConfig) -> ReadOptions:
        """These options for a trained model: its columns, if its source has several.

        Raises:
            UsageError: the columns are more or fewer than the model reads.
        """
        if self.columns is None and data.source_columns and data.read_columns:
            return replace(self, columns=as_columns(data.read_columns))
        needed, found = len(data.source_columns) or 1, len(self.choice.flat) - 1
        if found != needed:
            raise UsageError(
                f"columns: {found} for the source, and the model reads {needed}; give as many, "
                "or leave them out"
            )
        return self


def read_pairs(source: Source, options: ReadOptions | None = None) -> Iterator[Pair]:
    """Read pairs in order, in bounded memory.

    Args:
        source: one path, its format known by the suffix before `.gz`, `.xz` or `.zst`: `.csv`;
            `.jsonl`, `.ndjson` or `.json` (one object per line); `.parquet`; or another one of
            `FORMATS`. Anything else, and `-` for standard input, is TSV. Or a glob, a folder of
            Parquet files, or several of these, which are read one after the other. Two paths
            without a suffix of `FORMATS` are line-parallel files.
        options: see `ReadOptions`.

    Raises:
        DataError: an unreadable or damaged file, unequal parallel files, a header without the
            wanted name; with `on_error="stop"` the first unusable line.
        UsageError: columns that the format cannot have.
    """
    options = options or ReadOptions()
    return _usable_pairs(read_records(source, options), options)


def read_sources(source: Source, options: ReadOptions | None = None) -> Iterator[Pair]:
    """Pairs as `read_pairs` gives them, or the lines of a plain text, each with an empty target.

    A text is one or several files whose suffixes name no format and whose first line has no tab,
    read without `columns`. Its blank lines are left out and counted.

    Raises:
        DataError, UsageError: as `read_pairs`; a later line of a text has a tab.
    """
    options = options or ReadOptions()
    if options.columns is None and not is_parallel(source):
        files = expand(source)
        if _is_text(files[0]):
            lines = chain.from_iterable(_lines_of_text(file, options.report) for file in files)
            return _usable_pairs(lines, options)
    return read_pairs(source, options)


def _is_text(path: str | Path) -> bool:
    if reader_of(path) is not read_tsv:
        return False
    first = next(scan_lines(path), None)
    return isinstance(first, Line) and "\t" not in first.text


def _lines_of_text(path: str | Path, report: Callable[[str], None]) -> Iterator[Record]:
    blank = 0
    for line in scan_lines(path):
        if isinstance(line, BadLineError):
            yield line
        elif "\t" in line.text:
            what = "a tab, and the first line has none; give every line a reference, or none"
            yield BadLineError(what, path=path, line=line.number)
        elif is_blank(line.text):
            blank += 1
        else:
            yield Pair(line.text, ("",), line.number)
    if blank:
        report(f"{path}: {blank:,} blank lines are left out")


def _usable_pairs(records: Iterator[Record], options: ReadOptions) -> Iterator[Pair]:
    """Apply `on_error` and `max_pairs`."""
    read, skipped = 0, 0
    first: list[str] = []
    for record in records:
        if isinstance(record, BadLineError):
            if options.on_error == "stop":
                raise record
            skipped += 1
            if len(first) < _LISTED:
                first.append(str(record))
            continue
        yield record
        read += 1
        if read == options.max_pairs:
            break
    if skipped:
        more = [f"and {skipped - _LISTED} more"] if skipped > _LISTED else []
        lines = "line" if skipped == 1 else "lines"
        options.report("\n  ".join([f"skipped {skipped} {lines}:", *first, *more]))


def read_records(source: Source, options: ReadOptions) -> Iterator[Record]:
    """Like `read_pairs`, but yield unusable lines as error values, and ignore `max_pairs`."""
    return chain.from_iterable(records for _, records in read_files(source, options))


def read_files(source: Source, options: ReadOptions) -> Iterator[tuple[str, Iterator[Record]]]:
    """The records of each file, with the name of the file (of its sources)."""
    if is_parallel(source):
        yield from _parallel(listed(source), options)
        return
    files = expand(source)
    report = options.report if len(files) == 1 else _once_for_all(files, options.report)
    for file in files:
        yield file, reader_of(file)(file, options.choice, report)


def _once_for_all(files: Sequence[str], report: Callable[[str], None]) -> Callable[[str], None]:
    """Report what is true of several files once, with the name of the first."""
    reported: set[str] = set()

    def once(text: str) -> None:
        name = next((file for file in files if text.startswith(f"{file}: ")), "")
        what = text.removeprefix(name)
        if what not in reported:
            reported.add(what)
            report(f"{text} (the same in other files is not repeated)" if name else text)

    return once


def _parallel(names: Sequence[str], options: ReadOptions) -> Iterator[tuple[str, Iterator[Record]]]:
    if names[0] == STDIN == names[1]:
        raise UsageError("standard input cannot be both sides of line-parallel data")
    if options.columns is not None:
        raise UsageError("line-parallel files have no columns; leave the columns out")
    if options.header == "yes":
        raise UsageError("line-parallel files have no header; remove their first lines")
    sources, targets = map(expand, names)
    if len(sources) != len(targets):
        raise DataError(
            f"{len(sources)} files, and {len(targets)} for {names[1]}; line-parallel files come "
            "in pairs, sorted by name",
            path=names[0],
        )
    for sides in zip(sources, targets, strict=True):
        yield sides[0], _parallel_pairs(*sides)


def _parallel_pairs(source_path: str | Path, target_path: str | Path) -> Iterator[Record]:
    sources, targets = scan_lines(source_path), scan_lines(target_path)
    for number, (source, target) in enumerate(zip_longest(sources, targets), start=1):
        if source is None or target is None:
            short, long = (source_path, target_path)[:: 1 if source is None else -1]
            count = number + sum(1 for _ in (targets if source is None else sources))
            raise DataError(
                f"the file ends here, and {long} has {count} lines; line-parallel files must "
                "have equally many, line for line",
                path=short,
                line=number - 1,
            )
        if isinstance(source, BadLineError):
            yield source
        elif isinstance(target, BadLineError):
            yield target
        else:
            sides = (source_path, target_path)
            yield make_pair(source.text, (target.text,), sides, number)
