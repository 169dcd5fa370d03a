"""Which columns hold the source and the target, and whether the first row is a header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from penstock.errors import UsageError
from penstock.text.input_columns import COLUMN_SEPARATOR
from penstock.text.language_names import is_language

Column = int | str
Columns = tuple[Column | tuple[Column, ...], Column]
Header = Literal["auto", "yes", "no"]

# common column names of data sets, besides names of languages
# fmt: off
_HEADER_WORDS = {
    "source", "target", "src", "tgt", "input", "output", "text", "label", "sentence",
    "translation", "word", "phones", "phonemes", "pronunciation", "lemma", "form", "features",
    "feats", "tags", "msd", "inflection", "grapheme", "graphemes", "phoneme", "ipa", "class",
    "category", "sentiment", "transliteration", "transcription",
}
# fmt: on


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """The columns to read.

    Attributes:
        columns: of the source, or several of it, and of the target: each a 1-based number or a
            name; None: the first two.
        header: whether the first row of a table is a header; `auto`: if columns are named, or if
            it looks like one.

    Raises:
        UsageError: columns that no file can have.
    """

    columns: Columns | None = None
    header: Header = "auto"

    def __post_init__(self) -> None:
        if self.columns is not None:
            check_columns(self.columns)
        if self.header not in ("auto", "yes", "no"):
            raise UsageError(f"header {self.header!r}: choose auto, yes or no")
        if self.header == "no" and self.names:
            raise UsageError(
                f"columns {', '.join(self.names)}: names need a header; give numbers, or leave "
                "header = no out"
            )

    @property
    def flat(self) -> tuple[Column, ...]:
        """The columns in order, the target last."""
        return (1, 2) if self.columns is None else (*inputs_of(self.columns), self.columns[1])

    @property
    def is_several(self) -> bool:
        """Whether the source has several columns."""
        return len(self.flat) > 2

    @property
    def names(self) -> list[str]:
        """The columns that are chosen by name."""
        return [column for column in self.flat if isinstance(column, str)]


def inputs_of(columns: Columns) -> tuple[Column, ...]:
    """The columns of the source."""
    return columns[0] if isinstance(columns[0], tuple) else (columns[0],)


def check_columns(columns: Columns) -> None:
    """Raise a UsageError for columns that no file can have."""
    if len(columns) != 2:
        raise UsageError(f"columns {columns}: two are needed, source and target")
    every = (*inputs_of(columns), columns[1])
    if len(every) < 2:
        raise UsageError(f"columns {columns}: the source needs at least one")
    if len(set(every)) < len(every):
        what = "source and target must differ" if len(every) == 2 else "name each column once"
        raise UsageError(f"columns {columns}: {what}")
    for column in every:
        if isinstance(column, int) and column < 1:
            raise UsageError(f"column {column}: columns are counted from 1")
        if column == "":
            raise UsageError("an empty column name; give a name or a number")


def parse_columns(text: str) -> Columns:
    """Read `1,2`, `en,fr` or, with several columns of the source, `1,3:2`.

    Raises:
        UsageError: anything else.
    """
    inputs, colon, output = text.partition(":")
    names = [name.strip() for name in inputs.split(",")]
    if colon:
        names.append(output.strip())
    if (len(names) != 2 and not colon) or ":" in output or "," in output:
        raise UsageError(
            f"--columns {text!r}: write two, as in 1,2 or en,fr; with several columns of the "
            "source, the target behind a colon: 1,3:2"
        )
    *sources, target = [int(name) if name.isdecimal() else name for name in names]
    return (tuple(sources) if len(sources) > 1 else sources[0]), target


def as_columns(values: Sequence[Column | Sequence[Column]]) -> Columns:
    """The key `data.columns` as the reader takes it."""
    first, second = values
    assert isinstance(second, int | str)
    return (first if isinstance(first, int | str) else tuple(first)), second


def join_cells(cells: Sequence[str]) -> str:
    """One source of the cells of its columns.

    Raises:
        ValueError: one of several cells has a tab.
    """
    if len(cells) > 1 and any(COLUMN_SEPARATOR in cell for cell in cells):
        raise ValueError(
            "a tab inside a column of the source, where tabs separate the columns; replace it"
        )
    return COLUMN_SEPARATOR.join(cells)


def is_header(cells: Sequence[str]) -> bool:
    """Whether the chosen cells of a first row are names of columns."""
    names = [cell.strip().lower() for cell in cells]
    return len(set(names)) == len(names) and all(map(_is_name, names))


def _is_name(cell: str) -> bool:
    return is_language(cell) or all(
        part in _HEADER_WORDS or part.isdecimal() for part in re.split("[_-]", cell)
    )
