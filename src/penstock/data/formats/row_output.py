"""Rows written as TSV or JSON lines, plain or compressed, by the name of the file."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from penstock.data.formats.input_lines import COMPRESSIONS
from penstock.data.formats.output_stream import require_writable_suffix, writing
from penstock.errors import UsageError

_BREAKS = re.compile("[\t\n\r]+")
_JSON = (".jsonl", ".ndjson")
_UNWRITTEN = (".csv", ".json", ".parquet", ".toml")


def check_row_file(path: str | Path) -> None:
    """Check that a file's name says a format that is written.

    Raises:
        UsageError: it does not.
    """
    require_writable_suffix(path)
    wrong = next((each for each in Path(path).suffixes[-2:] if each.lower() in _UNWRITTEN), None)
    if str(path) == "-" or wrong:
        what = "standard output" if str(path) == "-" else wrong
        raise UsageError(f"{path}: {what} is not written here; name a .tsv or .jsonl file")


class RowFile:
    """An open file of rows.

    Attributes:
        cleaned: texts in which a tab or line end became a space, as TSV needs it.
    """

    def __init__(self, file: IO[bytes], *, is_json: bool) -> None:
        self.cleaned = 0
        self._file, self._is_json = file, is_json
        self._is_empty = True

    def write(self, row: Mapping[str, str | int]) -> None:
        """Write one row: an object, or its values as cells."""
        if self._is_json:
            line = json.dumps(row, ensure_ascii=False)
        else:
            line = "\t".join(self._cell(str(value)) for value in row.values())
            if self._is_empty and line.startswith("\ufeff"):
                line = f"\ufeff{line}"  # a reader drops one
        self._is_empty = False
        self._file.write(f"{line}\n".encode())

    def write_header(self, *names: str) -> None:
        """Write the names of columns, where rows do not have them."""
        if not self._is_json:
            self.write({name: name for name in names})

    def _cell(self, text: str) -> str:
        cell, times = _BREAKS.subn(" ", text)
        self.cleaned += bool(times)
        return cell


@contextmanager
def open_rows(path: str | Path, name: str | Path) -> Generator[RowFile]:
    """Open `path` for the rows of the file that will be called `name`."""
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    packed = suffixes.pop() if suffixes and suffixes[-1] in COMPRESSIONS else ""
    with writing(Path(path), packed) as file:
        yield RowFile(file, is_json=bool(suffixes) and suffixes[-1] in _JSON)
