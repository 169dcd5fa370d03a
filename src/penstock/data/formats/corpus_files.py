"""The files of a corpus: names, quoted globs and folders of Parquet files, in a fixed order."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from penstock.data.formats.format_table import PARQUET, format_suffix, is_pair_format
from penstock.data.formats.input_lines import Line, read_lines
from penstock.data.formats.parquet import parquet_lines
from penstock.data.remote_files import fetch, is_remote, public_name
from penstock.errors import ConfigError, DataError
from penstock.hub import is_hub_address

Names = str | Path | Sequence[str | Path]
_SHOWN = 3


def listed(names: Names) -> list[str]:
    """One or several names as a list."""
    return [str(names)] if isinstance(names, str | Path) else [str(name) for name in names]


def shown(names: Names) -> str:
    """The names, for messages; of many, the first."""
    several = [public_name(name) for name in listed(names)]
    more = len(several) - _SHOWN
    return ", ".join(several[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def is_parallel(names: Names) -> bool:
    """Whether the names are those of line-parallel files: two, neither in a format of pairs."""
    several = listed(names)
    return len(several) == 2 and not any(
        is_pair_format(n) or is_hub_address(n) or Path(n).is_dir() for n in several
    )


def expand(names: Names) -> list[str]:
    """Replace globs by the files that they match and folders by their Parquet files, by name.

    What is elsewhere is fetched (see `fetch`).

    Raises:
        DataError: a pattern without a match, a folder without Parquet files.
    """
    return [file for name in listed(names) for file in _expanded(name)]


def text_files(names: Names) -> list[str]:
    """The files of a task that reads plain text, one after the other.

    Raises:
        ConfigError: one is a file of pairs.
        DataError: as `expand`.
    """
    files = expand(names)
    for file in files:
        if ".jsonl" in Path(file).suffixes[-2:]:
            raise ConfigError(f"{file}: this task reads plain text, and this is a file of pairs")
    return files


def read_text(names: Names) -> Iterator[Line]:
    """The lines of a text's files, one after the other.

    Raises:
        ConfigError, DataError: as `text_files` and `read_lines`.
    """
    for file in text_files(names):
        yield from parquet_lines(file) if format_suffix(file) == PARQUET else read_lines(file)


def _expanded(name: str) -> list[str]:
    if is_remote(name):
        return list(fetch(name))
    if Path(name).is_dir():
        inside = (p for p in Path(name).rglob(f"*{PARQUET}") if not p.name.startswith((".", "_")))
        found = sorted(map(str, inside))
        if not found:
            what = f"a directory without {PARQUET} files; name files, for example '{name}/*.tsv'"
            raise DataError(what, path=name)
        return found
    if not glob.has_magic(name) or Path(name).exists():
        return [name]
    found = sorted(file for file in glob.glob(name, recursive=True) if Path(file).is_file())  # noqa: PTH207 (Path.glob takes no absolute pattern)
    if not found:
        raise DataError("no file has a name like this; check the pattern", path=name)
    return found
