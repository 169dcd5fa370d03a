"""The records of tables (TSV, CSV) and of JSONL as pairs.

Each format is a generator of `Pair | BadLineError`: errors are values here, and `read_pairs` alone
decides whether to stop or to count and skip them.
"""

from __future__ import annotations

import csv
import difflib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from penstock.config.json_types import is_array, is_object
from penstock.data.formats.column_choice import (
    Column,
    ColumnChoice,
    check_columns,
    is_header,
    join_cells,
)
from penstock.data.formats.input_lines import BadLineError, Line, scan_lines
from penstock.data.pair import Pair
from penstock.errors import DataError, UsageError
from penstock.text.input_columns import COLUMN_SEPARATOR

Record = Pair | BadLineError
Report = Callable[[str], None]

_LISTED = 10
_FEATURES = re.compile(r"[^\s;|]+([;|][^\s;|]+)+")


class EmptySideError(BadLineError):
    """A pair has no text on one side."""


def make_pair(
    source: str,
    targets: tuple[str, ...],
    path: str | Path | tuple[str | Path, str | Path],
    line: int,
) -> Record:
    """Make a pair, or an error if a side is empty or not valid text."""
    paths = path if isinstance(path, tuple) else (path, path)
    if not source or source.isspace():
        what = "the source is empty; fill or remove the pair"
        return EmptySideError(what, path=paths[0], line=line)
    for target in targets:
        if not target or target.isspace():
            what = "the target is empty; fill or remove the pair"
            return EmptySideError(what, path=paths[1], line=line)
    for text in (source, *targets):
        if not text.isascii() and _has_surrogate(text):
            what = "half a surrogate pair (\\ud800 to \\udfff) is not text; write the character"
            return BadLineError(what, path=paths[0], line=line)
        if "\0" in text:
            return BadLineError("a NUL character; remove it", path=paths[0], line=line)
    return Pair(source, targets, line)


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


# --- tables: TSV and CSV ------------------------------------------------------------------------

Row = tuple[int, list[str]]


def tsv_rows(path: str | Path) -> Iterator[Row | BadLineError]:
    """Rows of tab-separated cells; quotes and backslashes are ordinary characters."""
    for line in scan_lines(path):
        if isinstance(line, BadLineError):
            yield line
        else:
            yield line.number, line.text.split("\t") if line.text else []


class _CsvFeed:
    """Lines for the csv module, which may ask for several to fill one record."""

    def __init__(self, path: str | Path) -> None:
        self._lines = scan_lines(path)
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.number += 1
        line = next(self._lines)
        if isinstance(line, BadLineError):
            raise line
        return line.text + "\n"


def csv_rows(path: str | Path) -> Iterator[Row | BadLineError]:
    """Rows as in RFC 4180; the line number is that of a record's first line."""
    feed = _CsvFeed(path)
    rows = csv.reader(feed, strict=True)  # its field limit of 131,072 characters bounds memory
    while True:
        start = feed.number + 1
        try:
            yield start, next(rows)
        except StopIteration:
            return
        except BadLineError as error:
            yield error
        except csv.Error as error:
            upto = f" (in lines {start} to {feed.number})" if feed.number > start else ""
            what = f"not valid CSV{upto}: {error}; look for an unclosed or stray quote"
            yield BadLineError(what, path=path, line=start)


def read_tsv(path: str | Path, chosen: ColumnChoice, report: Report) -> Iterator[Record]:
    """Columns of each line, separated by tabs."""
    return read_table(path, tsv_rows(path), "tab", chosen, report)


def read_csv(path: str | Path, chosen: ColumnChoice, report: Report) -> Iterator[Record]:
    """Columns of each record."""
    return read_table(path, csv_rows(path), "comma", chosen, report)


def read_table(
    path: str | Path,
    rows: Iterator[Row | BadLineError],
    separator: str,
    chosen: ColumnChoice,
    report: Report,
) -> Iterator[Record]:
    """Take columns of each row; unless columns were given, no row may be wider than the first.

    Raises:
        DataError: a column is named and the header lacks it.
    """
    columns, may_be_header = chosen.flat, chosen.header == "auto"
    if chosen.names or chosen.header == "yes":
        columns, may_be_header = _from_header(path, rows, columns), False
    picked = [int(column) for column in columns]
    needed, width = max(picked), 0
    for row in rows:
        if isinstance(row, BadLineError):
            yield row
            continue
        line, cells = row
        if len(cells) < needed:
            what = _too_few(cells, needed, separator, len(picked))
            yield BadLineError(what, path=path, line=line)
            continue
        *sources, target = [cells[number - 1] for number in picked]
        if not width:
            width = len(cells)
            _report_ignored(path, cells, picked, report)
            if may_be_header and is_header([*sources, target]):
                shown = ", ".join([*sources, target])
                report(
                    f"{path}: the first row is a header and is left out: {shown} (--header no "
                    "reads it as a pair)"
                )
                continue
        elif len(cells) > width and chosen.columns is None:
            what = (
                f"expected {width} columns, found {len(cells)}; remove the stray {separator}, or "
                "choose the columns"
            )
            yield BadLineError(what, path=path, line=line)
            continue
        try:
            source = join_cells(sources)
        except ValueError as error:
            yield BadLineError(str(error), path=path, line=line)
            continue
        yield make_pair(source, (target,), path, line)


def _from_header(
    path: str | Path, rows: Iterator[Row | BadLineError], columns: Sequence[Column]
) -> tuple[Column, ...]:
    header = next(rows, None)
    if isinstance(header, BadLineError):
        raise header
    if header is None:
        raise DataError("empty; a header with the column names was expected", path=path)
    line, names = header
    numbers: list[Column] = []
    for column in columns:
        if isinstance(column, str):
            if names.count(column) != 1:
                raise DataError(_no_name(column, names), path=path, line=line)
            column = names.index(column) + 1
        numbers.append(column)
    check_columns((tuple(numbers[:-1]), numbers[-1]))
    return tuple(numbers)


def _no_name(column: str, names: list[str]) -> str:
    if column in names:
        return f"the header names the column {column!r} more than once; choose columns by number"
    close = difflib.get_close_matches(column, names, n=1)
    remedy = f"; did you mean {close[0]!r}?" if close else "; choose one of these, or a number"
    shown = ", ".join(repr(name) for name in names[:_LISTED]) or "nothing"
    return f"no column {column!r} in the header, which has {shown}{remedy}"


def _too_few(cells: list[str], needed: int, separator: str, chosen: int) -> str:
    if not cells:
        return f"expected {needed} columns, found a blank line; remove it"
    what = f"expected {needed} columns, found {len(cells)}"
    sides = "source and target" if chosen == 2 else "columns"
    return f"{what}; separate {sides} by a {separator}"


def _report_ignored(
    path: str | Path, cells: list[str], picked: Sequence[int], report: Report
) -> None:
    ignored = len(cells) - len(picked)
    if ignored:
        what = "1 further column is" if ignored == 1 else f"{ignored} further columns are"
        *sources, target = map(str, picked)
        source = f"columns {' and '.join(sources)}" if len(sources) > 1 else f"column {sources[0]}"
        features = next((i for i, cell in enumerate(cells, 1) if _FEATURES.fullmatch(cell)), None)
        hint = ""
        if features is not None and features not in picked:
            hint = f" (column {features} looks like features: --columns {picked[0]},{features}:"
            hint += f"{target} reads it too)"
        report(
            f"{path}: {what} ignored; source is {source}, target column {target} of {len(cells)}"
            f"{hint}"
        )


# --- JSONL --------------------------------------------------------------------------------------


def read_jsonl(path: str | Path, chosen: ColumnChoice, report: Report) -> Iterator[Record]:
    """One object per line, with `source` and `target` (a string) or `targets` (a list of strings).

    A key chosen by the user may hold either. For several numbered columns of the source, `source`
    holds them all, separated by tabs, as `penstock data split` writes them.
    """
    joined = chosen.is_several and not chosen.names  # one source holds all columns
    keys = ("source", "target") if joined or not chosen.columns else chosen.flat
    if not all(isinstance(key, str) for key in keys):
        raise UsageError(f"{path}: JSONL has keys, not numbered columns; name the keys, not {keys}")
    if chosen.header == "yes":
        raise UsageError(f"{path}: JSONL has keys and no header; leave --header out")
    *source_keys, target_key = map(str, keys)
    wanted = ("target", "targets") if joined or not chosen.columns else (target_key,)
    reported = False
    for line in scan_lines(path):
        if isinstance(line, BadLineError):
            yield line
            continue
        try:
            record = _parse_object(line)
            source = join_cells([_text_of(record, key) for key in source_keys])
            found, needed = len(source.split(COLUMN_SEPARATOR)), len(chosen.flat) - 1
            if joined and found != needed:
                raise ValueError(
                    f"expected a source of {needed} columns, separated by tabs, found {found}; "
                    "name the keys of all columns"
                )
            targets = _targets_of(record, wanted)
        except ValueError as error:
            yield BadLineError(str(error), path=path, line=line.number)
            continue
        others = [key for key in record if key not in source_keys and key not in wanted]
        if others and not reported:
            reported = True
            report(f"{path}: further keys are ignored: {', '.join(others[:_LISTED])}")
        yield make_pair(source, targets, path, line.number)


def _parse_object(line: Line) -> dict[str, Any]:
    if not line.text.strip():
        raise ValueError("expected a JSON object, found a blank line; remove it")
    try:
        record = json.loads(line.text)
    except json.JSONDecodeError as error:
        what = f"not valid JSON: {error.msg} at character {error.pos + 1}"
        raise ValueError(f"{what}; write one object per line") from None
    except (ValueError, RecursionError):
        raise ValueError("not usable JSON: too deep or too long a number") from None
    if not is_object(record):
        found = type(record).__name__
        raise ValueError(f'expected a JSON object, found a {found}; write {{"source": …}}')
    return record


def _text_of(record: dict[str, Any], key: str) -> str:
    if key not in record:
        raise ValueError(f"no key {key!r}; found {', '.join(map(repr, record)) or 'no keys'}")
    if not isinstance(record[key], str):
        raise ValueError(f"{key!r} must be a string, found {_short(record[key])}")
    return record[key]


def _targets_of(record: dict[str, Any], keys: tuple[str, ...]) -> tuple[str, ...]:
    present = [key for key in keys if key in record]
    if len(present) > 1:
        raise ValueError("both 'target' and 'targets'; keep one")
    if not present:
        names = " or ".join(map(repr, keys))
        raise ValueError(f"no key {names}; found {', '.join(map(repr, record))}")
    (key,) = present
    value = record[key]
    if not is_array(value):
        if key == "targets":
            raise ValueError(f"'targets' must be a list of strings, found {_short(value)}")
        return (_text_of(record, key),)
    if key == "target":
        raise ValueError("'target' must be a string; for a list, the key is 'targets'")
    if not value or not all(isinstance(text, str) for text in value):
        raise ValueError(f"{key!r} must be a list of one or more strings, found {_short(value)}")
    return tuple(value)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:39] + "…"
