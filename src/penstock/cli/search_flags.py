"""The flags of a search, once for every verb that translates.

`@with_search_flags` gives a command these flags in place of its parameter `options`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from penstock.errors import DataError, UsageError

if TYPE_CHECKING:
    from penstock.tasks.translation.search_options import Phrases, SearchOptions

_PANEL = "Search"


def _flag(text: str, *names: str, **limits: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=_PANEL, **limits)


@dataclass(frozen=True, slots=True)
class SearchFlags:
    """What the flags say; None where they say nothing."""

    search: str | None
    values: dict[str, Any]
    dictionary: Path | None
    phrases: Path | None

    def given(self) -> list[str]:
        """The flags that were used."""
        named = {"search": self.search, "dictionary": self.dictionary, "phrases": self.phrases}
        return [name for name, value in (named | self.values).items() if value not in (None, [])]

    def options(self) -> SearchOptions:
        """As one value.

        Raises:
            UsageError: an impossible value.
            DataError: an unreadable dictionary.
        """
        from penstock.tasks.translation.search_options import Phrases, SearchOptions

        values = {k: v for k, v in self.values.items() if v not in (None, [])}
        own = Phrases(
            values.pop("prefix", ""),
            tuple(values.pop("require", ())),
            tuple(values.pop("forbid", ())),
        )
        if "placeholder" in values:
            values["placeholders"] = tuple(values.pop("placeholder"))
        if self.dictionary is not None:
            values["dictionary"] = _read_dictionary(self.dictionary)
        return SearchOptions(search=self.search or "beam", phrases=own, **values)  # pyright: ignore[reportArgumentType]

    def phrases_of_lines(self) -> Iterator[Phrases] | None:
        """What `--phrases` says of each line; None without it."""
        return None if self.phrases is None else _read_phrases(self.phrases)


def _flags(
    search: Annotated[
        Literal["beam", "greedy", "sample", "exact", "exhaustive", "mbr"] | None,
        _flag("How to search; default: beam."),
    ] = None,
    beam_size: Annotated[int | None, _flag("Default: the model's (5).")] = None,
    groups: Annotated[int | None, _flag("Of a diverse beam; they divide its size.")] = None,
    diversity: Annotated[float | None, _flag("Cost of what other groups take.")] = None,
    samples: Annotated[int | None, _flag("Draws a line of sample and mbr.")] = None,
    temperature: Annotated[float | None, _flag("Below 1 sharper, above 1 flatter.")] = None,
    top_k: Annotated[int | None, _flag("Draw from the k likeliest.")] = None,
    top_p: Annotated[float | None, _flag("Draw from the likeliest that reach p.")] = None,
    seed: Annotated[int | None, _flag("Of the draws; default 1.")] = None,
    budget: Annotated[int | None, _flag("Beginnings that exact extends; default 5000.")] = None,
    utility: Annotated[Literal["chrf", "bleu"] | None, _flag("By which mbr compares.")] = None,
    mbr_from: Annotated[
        Literal["sample", "beam"] | None, _flag("Where mbr takes candidates from.")
    ] = None,
    normalization: Annotated[
        Literal["none", "average", "book", "gnmt"] | None, _flag("By length; default: book.")
    ] = None,
    length_penalty: Annotated[float | None, _flag("α of log p / L^α, of book and gnmt.")] = None,
    length_reward: Annotated[float | None, _flag("Added for every piece.")] = None,
    coverage_penalty: Annotated[float | None, _flag("Weight of source left unread.")] = None,
    min_length: Annotated[int | None, _flag("Least pieces.")] = None,
    max_length: Annotated[int | None, _flag("Most pieces.")] = None,
    min_length_ratio: Annotated[float | None, _flag("Least pieces a source piece.")] = None,
    max_length_ratio: Annotated[float | None, _flag("Most pieces a source piece.")] = None,
    no_repeat_ngram: Annotated[int | None, _flag("No n-gram of pieces twice.")] = None,
    allow_unknown: Annotated[
        bool | None, _flag("Let the model write <unk>.", "--allow-unknown")
    ] = None,
    replace_unknown: Annotated[
        bool | None, _flag("Copy the source word for <unk>.", "--replace-unknown")
    ] = None,
    dictionary: Annotated[
        Path | None, _flag("For --replace-unknown: source word, tab, target word.")
    ] = None,
    prefix: Annotated[str | None, _flag("Translations begin with this.")] = None,
    require: Annotated[list[str] | None, _flag("A phrase that occurs; repeatable.")] = None,
    forbid: Annotated[list[str] | None, _flag("A phrase that does not; repeatable.")] = None,
    phrases: Annotated[
        Path | None,
        _flag('A JSON object a line: {"prefix": …, "require": […], "forbid": […]}.'),
    ] = None,
    placeholder: Annotated[
        list[str] | None, _flag("A pattern: what it matches passes unchanged; repeatable.")
    ] = None,
    batch: Annotated[int | None, _flag("Lines searched together; default 64.")] = None,
    long_lines: Annotated[
        Literal["split", "truncate"] | None, _flag("Lines too long for the model.")
    ] = None,
) -> None:
    """The flags, for their signature alone."""


_NAMES = tuple(inspect.signature(_flags).parameters)


def with_search_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the flags of a search, in place of its parameter `flags`."""

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> None:
        values = {name: arguments.pop(name) for name in _NAMES}
        flags = SearchFlags(
            values.pop("search"), values, values.pop("dictionary"), values.pop("phrases")
        )
        command(**arguments, flags=flags)

    own = inspect.signature(command, eval_str=True)
    ours = inspect.signature(_flags, eval_str=True).parameters.values()
    kept = [p for name, p in own.parameters.items() if name != "flags"]
    # after what has no default, in any order: Typer passes them by name
    named = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*kept, *ours)]
    wrapped.__dict__["__signature__"] = own.replace(parameters=named)
    wrapped.__annotations__ = {p.name: p.annotation for p in named}
    return wrapped


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

    from penstock.data.formats.input_lines import read_lines
    from penstock.json_types import is_object
    from penstock.tasks.translation.search_options import Phrases

    for number, line in enumerate(read_lines(str(path)), start=1):
        try:
            value = json.loads(line.text or "{}")
        except ValueError as error:
            raise DataError(f"not JSON: {error}", path=path, line=number) from None
        if not is_object(value) or not _are_phrases(value):
            raise DataError(
                'expected an object with "prefix" (a text), "require" and "forbid" (lists of '
                "texts), or fewer of them",
                path=path,
                line=number,
            )
        yield Phrases(
            value.get("prefix", ""),
            tuple(value.get("require", [])),
            tuple(value.get("forbid", [])),
        )


def _are_phrases(value: dict[str, Any]) -> bool:
    prefix: object = value.get("prefix", "")
    lists: list[Any] = [value.get("require", []), value.get("forbid", [])]
    return (
        not value.keys() - {"prefix", "require", "forbid"}
        and isinstance(prefix, str)
        and all(isinstance(each, list) for each in lists)
        and all(isinstance(text, str) for each in lists for text in each)
    )


Models = Annotated[
    list[Path],
    typer.Option("--model", "-m", help="Run directory or bundle; several decide together."),
]
Weights = Annotated[
    str | None, typer.Option("--weights", help="Of several models: 2,1 or 0.5,0.5.")
]


def parse_weights(text: str | None) -> list[float] | None:
    """`2,1` as numbers.

    Raises:
        UsageError: something else.
    """
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--weights {text!r}: give a number for each model, as in 2,1") from None
