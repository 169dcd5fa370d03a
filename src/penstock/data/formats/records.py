"""The records of tables (TSV, CSV) and of JSONL as pairs.

Each format is a generator of `Pair | BadLineError`: errors are values here, and `read_pairs` alone
decides whether to stop or to count and skip them.
"""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from penstock.config.json_types import is_array, is_object
from penstock.data.formats.input_lines import BadLineError, Line, scan_lines
from penstock.data.pair import Pair
from penstock.errors import DataError, UsageError
from penstock.text.language_names import is_language

Column = int | str
Columns = tuple[Column, Column]
Record = Pair | BadLineError
Report = Callable[[str], None]

_LISTED = 10
# common column names of data sets, besides names of languages
# fmt: off
_HEADER_WORDS = {
    "source", "target", "src", "tgt", "input", "output", "text", "label", "sentence",
    "translation", "word", "phones", "phonemes", "pronunciation",
}
# fmt: on


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


def check_columns(columns: Columns) -> None:
    """Raise a UsageError for columns that no file can have."""
    if len(columns) != 2:
        raise UsageError(f"columns {columns}: two are needed, source and target")
    if columns[0] == columns[1]:
        raise UsageError(f"columns {columns}: source and target must differ")
    for column in columns:
        if isinstance(column, int) and column < 1:
            raise UsageError(f"column {column}: columns are counted from 1")
        if column == "":
            raise UsageError("an empty column name; give a name or a number")


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


def read_tsv(path: str | Path, chosen: Columns | None, report: Report) -> Iterator[Record]:
    """Two columns of each line, separated by tabs."""
    return read_table(path, tsv_rows(path), "tab", chosen, report)


def read_csv(path: str | Path, chosen: Columns | None, report: Report) -> Iterator[Record]:
    """Two columns of each record."""
    return read_table(path, csv_rows(path), "comma", chosen, report)


def read_table(
    path: str | Path,
    rows: Iterator[Row | BadLineError],
    separator: str,
    chosen: Columns | None,
    report: Report,
) -> Iterator[Record]:
    """Take two columns of each row; unless columns were given, no row may be wider than the first.

    Raises:
        DataError: a column is named and the header lacks it.
    """
    columns = chosen or (1, 2)
    if any(isinstance(column, str) for column in columns):
        columns = _from_header(path, rows, columns)
    picked = tuple(int(column) for column in columns)
    needed, width = max(picked), 0
    for row in rows:
        if isinstance(row, BadLineError):
            yield row
            continue
        line, cells = row
        if len(cells) < needed:
            yield BadLineError(_too_few(cells, needed, separator), path=path, line=line)
            continue
        if not width:
            width = len(cells)
            _report_ignored(path, cells, picked, report)
            if columns == picked:  # no header was asked for
                _report_header(path, [cells[number - 1] for number in picked], report)
        elif len(cells) > width and chosen is None:
            what = (
                f"expected {width} columns, found {len(cells)}; remove the stray {separator}, or "
                "choose the columns"
            )
            yield BadLineError(what, path=path, line=line)
            continue
        source, target = cells[picked[0] - 1], cells[picked[1] - 1]
        yield make_pair(source, (target,), path, line)


def _from_header(path: str | Path, rows: Iterator[Row | BadLineError], columns: Columns) -> Columns:
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
    check_columns((numbers[0], numbers[1]))
    return numbers[0], numbers[1]


def _no_name(column: str, names: list[str]) -> str:
    if column in names:
        return f"the header names the column {column!r} more than once; choose columns by number"
    close = difflib.get_close_matches(column, names, n=1)
    remedy = f"; did you mean {close[0]!r}?" if close else "; choose one of these, or a number"
    shown = ", ".join(repr(name) for name in names[:_LISTED]) or "nothing"
    return f"no column {column!r} in the header, which has {shown}{remedy}"


def _too_few(cells: list[str], needed: int, separator: str) -> str:
    if not cells:
        return f"expected {needed} columns, found a blank line; remove it"
    what = f"expected {needed} columns, found {len(cells)}"
    return f"{what}; separate source and target by a {separator}"


def _report_ignored(
    path: str | Path, cells: list[str], picked: tuple[int, ...], report: Report
) -> None:
    ignored = len(cells) - len(picked)
    if ignored:
        what = "1 further column is" if ignored == 1 else f"{ignored} further columns are"
        report(
            f"{path}: {what} ignored; source is column {picked[0]}, target column {picked[1]} "
            f"of {len(cells)}"
        )


def _report_header(path: str | Path, cells: list[str], report: Report) -> None:
    names = [cell.strip().lower() for cell in cells]
    if names[0] != names[1] and all(name in _HEADER_WORDS or is_language(name) for name in names):
        report(
            f"{path}: the first row looks like a header and is read as a pair; to read it as a "
            f"header, name the columns: --columns {cells[0]},{cells[1]}"
        )


# --- JSONL --------------------------------------------------------------------------------------


def read_jsonl(path: str | Path, chosen: Columns | None, report: Report) -> Iterator[Record]:
    """One object per line, with `source` and `target` (a string) or `targets` (a list of strings).

    A key chosen by the user may hold either.
    """
    keys = chosen or ("source", "target")
    if not all(isinstance(key, str) for key in keys):
        raise UsageError(f"{path}: JSONL has keys, not numbered columns; name two keys, not {keys}")
    source_key, target_key = str(keys[0]), str(keys[1])
    wanted = (target_key,) if chosen else ("target", "targets")
    reported = False
    for line in scan_lines(path):
        if isinstance(line, BadLineError):
            yield line
            continue
        try:
            record = _parse_object(line)
            source = _text_of(record, source_key)
            targets = _targets_of(record, wanted)
        except ValueError as error:
            yield BadLineError(str(error), path=path, line=line.number)
            continue
        others = [key for key in record if key != source_key and key not in wanted]
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
