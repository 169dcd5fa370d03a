"""The search flags, shared by the commands that translate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.cli.console import path
from penstock.cli.option_flags import flags_of, with_flags
from penstock.errors import DataError, UsageError
from penstock.tasks.translation.search_options import Phrases, SearchOptions

_PANEL = "Search"
_PHRASES = [flag.name for flag in flags_of(Phrases)]


class SearchFlags:
    """The values of the search flags.

    Attributes:
        options: the search options.
        used: names of the flags that were used.
        phrases: the file of `--phrases`.
        files: all files that the flags name.

    Raises:
        UsageError: an impossible value.
        DataError: an unreadable dictionary.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        values = {name: value for name, value in values.items() if value not in (None, [])}
        self.used = list(values)
        self.files: tuple[Path | None, ...] = values.get("phrases"), values.get("dictionary")
        self.phrases: Path | None = values.pop("phrases", None)
        own = {name: values.pop(name) for name in _PHRASES if name in values}
        if "dictionary" in values:
            values["dictionary"] = _read_dictionary(values["dictionary"])
        self.options = SearchOptions.offered({**values, "phrases": Phrases.offered(own)})

    def phrases_of_lines(self) -> Iterator[Phrases] | None:
        """Read the phrases of each line from `--phrases`; None without it."""
        return None if self.phrases is None else _read_phrases(self.phrases)


def _flags() -> list[Parameter]:
    """The flags of the options, with `--phrases` inserted after `--forbid`."""
    flags = flags_of(SearchOptions, panel=_PANEL)
    text = 'File with a JSON object per line: {"prefix": …, "require": […], "forbid": […]}.'
    annotation = Annotated[
        Path | None, typer.Option(parser=path, help=text, rich_help_panel=_PANEL)
    ]
    file = Parameter("phrases", Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
    index = 1 + [flag.name for flag in flags].index(_PHRASES[-1])
    return [*flags[:index], file, *flags[index:]]


def with_search_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Replace a command's parameter `flags` by the search flags."""
    return with_flags(command, _flags(), "flags", SearchFlags)


def _read_dictionary(path: Path) -> dict[str, str]:
    from penstock.data.formats.input_lines import read_lines

    words: dict[str, str] = {}
    for number, line in enumerate(read_lines(str(path)), start=1):
        if not line.text:
            continue
        source, tab, target = line.text.partition("\t")
        if not tab or "\t" in target or not source:
            raise DataError(
                "expected a source word, a tab and a target word", path=path, line=number
            )
        words.setdefault(source, target)
    return words


def _read_phrases(path: Path) -> Iterator[Phrases]:
    import json

    from penstock.config.json_types import is_object
    from penstock.data.formats.input_lines import read_lines

    for number, line in enumerate(read_lines(str(path)), start=1):
        try:
            value = json.loads(line.text or "{}")
        except (ValueError, RecursionError) as error:
            raise DataError(f"not JSON: {error}", path=path, line=number) from None
        try:
            if not is_object(value) or value.keys() - set(_PHRASES) or None in value.values():
                raise UsageError
            yield Phrases.offered(value)
        except UsageError:
            raise DataError(
                'expected an object with "prefix" (a text), "require" and "forbid" (lists of '
                "texts), or fewer of them",
                path=path,
                line=number,
            ) from None


Models = Annotated[
    list[Path],
    typer.Option(
        "--model",
        "-m",
        parser=path,
        help="Run directory, bundle or hf://owner/name; several form an ensemble.",
    ),
]
Weights = Annotated[
    str | None, typer.Option("--weights", help="Weights of an ensemble's models, as in 2,1.")
]


def parse_weights(text: str | None) -> list[float] | None:
    """Parse `2,1`; anything but numbers is a `UsageError`."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--weights {text!r}: give a number for each model, as in 2,1") from None
