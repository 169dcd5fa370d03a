"""The file formats of pairs, by suffix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from penstock.data.formats.column_choice import ColumnChoice
from penstock.data.formats.input_lines import COMPRESSIONS
from penstock.data.formats.parquet import read_parquet
from penstock.data.formats.records import (
    Record,
    Report,
    read_csv,
    read_jsonl,
    read_tsv,
)

# path, the columns to read, and where to report what is ignored
Reader = Callable[[str | Path, ColumnChoice, Report], Iterator[Record]]

PARQUET = ".parquet"
FORMATS: dict[str, Reader] = {
    ".tsv": read_tsv,
    ".csv": read_csv,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_jsonl,
    PARQUET: read_parquet,
}


def reader_of(path: str | Path) -> Reader:
    """Look up a reader by the suffix before `.gz`, `.xz` or `.zst`; an unknown one means TSV."""
    return FORMATS.get(format_suffix(path), read_tsv)


def is_pair_format(path: str | Path) -> bool:
    """Whether a file's suffix is that of a format of pairs."""
    return format_suffix(path) in FORMATS


def format_suffix(path: str | Path) -> str:
    """The suffix before `.gz`, `.xz` or `.zst`, in lower case."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""
