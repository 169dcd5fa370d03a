"""The flags that say which files hold the data, and which columns hold source and target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="A,B",
        help="Source and target columns, by number (from 1) or by name in the header; in JSONL, "
        "the keys. Several columns of the source: 1,3:2. Default: the first two.",
    ),
]
HeaderRow = Annotated[
    Literal["auto", "yes", "no"],
    typer.Option("--header", help="Whether the first row of a table is a header."),
]
OptionalHeaderRow = Annotated[
    Literal["auto", "yes", "no"] | None,
    typer.Option("--header", help="Whether the first row of a table is a header. Default: auto."),
]
LanguageColumn = Annotated[
    str | None,
    typer.Option(
        "--language-column",
        help="Column with the language of each target, a number or a name: one model for several.",
    ),
]
To = Annotated[
    str | None,
    typer.Option("--to", help="Target language, of a model that translates into several."),
]


def number_or_name(column: str | None) -> int | str | None:
    """A column as the configuration has it."""
    return int(column) if column and column.isdecimal() else column


def one_or_several(name: str) -> str | list[str]:
    """A file, or several that are named as A,B."""
    names = [name] if Path(name).exists() else name.split(",")
    return name if len(names) == 1 else names
