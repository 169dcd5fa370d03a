"""Extreme values, and every key and flag that they may be given to, found by its own schema."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import typer
from pydantic import BaseModel

from penstock.cli.app import app
from penstock.config import RunConfig
from penstock.config.section import sections_of

INTEGERS = (-(10**20), -(2**31), -1, 0, 1, 2, 1000, 2**31, 2**63 - 1, 2**63, 10**20, 10**4000)
FLOATS = (-1e308, -1.0, -5e-324, 0.0, 5e-324, 1e-40, 1.0, 1e9, 1e40, 1e308)
NOT_FINITE = ("nan", "inf", "-inf")
TEXTS = (
    "",
    " ",
    ".",
    "..",
    "none",
    "\0",
    "a\0b",
    "\x1b[31mred",
    "\u202egnal",
    "line\nend",
    "/dev/null",
    "/dev/full",
    "/proc/self/mem",
    "x" * 300,
    "x/" * 3000,
    "\udcff",
)


@dataclass(frozen=True)
class Key:
    """A key of the configuration.

    Attributes:
        name: its dotted name.
        kinds: what its schema allows: `integer`, `number`, `string`, `boolean`, `array`, `null`.
    """

    name: str
    kinds: frozenset[str]


def keys(section: type[BaseModel] = RunConfig, prefix: str = "") -> Iterator[Key]:
    """Every key of the configuration."""
    inner = sections_of(section)
    schema = section.model_json_schema()["properties"]
    for name in section.model_fields:
        if name in inner:
            yield from keys(inner[name], f"{prefix}{name}.")
        else:
            yield Key(f"{prefix}{name}", frozenset(_kinds(schema[name])))


def _kinds(schema: dict[str, Any]) -> Iterator[str]:
    if "type" in schema:
        yield schema["type"]
    for choice in schema.get("anyOf", []):
        yield from _kinds(choice)


@dataclass(frozen=True)
class Flag:
    """An option or argument of a command.

    Attributes:
        command: the words of the command.
        name: the flag; empty for an argument.
        kind: the type of a value: `int`, `float`, `str`, `Path`, `bool` or a `Literal`.
        required: what else the command needs, each as the words to give it.
        place: how many of `required` stand before it.
    """

    command: tuple[str, ...]
    name: str
    kind: Any
    required: tuple[tuple[str, ...], ...]
    place: int

    def words(
        self, value: Sequence[str], needed: Callable[[tuple[str, ...]], Sequence[str]] = tuple
    ) -> list[str]:
        """The command with this, and with what it needs besides.

        Args:
            value: given to this; no word for a switch.
            needed: the words to give of those in `required`.
        """
        others = [needed(words) for words in self.required]
        own = [[self.name, *value] if self.name else value]
        placed = [*others[: self.place], *own, *others[self.place :]]
        return [*self.command, *(word for words in placed for word in words)]


def flags() -> Iterator[Flag]:
    """Every option of every command."""
    yield from _flags_of(typer.main.get_command(app), ())


def _flags_of(command: Any, words: tuple[str, ...]) -> Iterator[Flag]:
    inner = getattr(command, "commands", None)
    if inner is not None:
        for name, each in inner.items():
            yield from _flags_of(each, (*words, name))
        return
    declared = inspect.signature(command.callback, eval_str=True).parameters
    for parameter in command.params:
        if parameter.name not in declared:  # --help
            continue
        kind = _plain(declared[parameter.name].annotation)
        others = [p for p in command.params if p.required and p is not parameter]
        required = tuple((p.opts[0], "x") if _is_option(p) else ("x",) for p in others)
        place = sum(command.params.index(p) < command.params.index(parameter) for p in others)
        name = parameter.opts[0] if _is_option(parameter) else ""
        yield Flag(words, name, kind, required, place)


def _is_option(parameter: Any) -> bool:
    return parameter.param_type_name == "option"


def _plain(annotation: Any) -> Any:
    """The type of one value: without None, `Annotated` and lists."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Annotated, list):
        return _plain(arguments[0])
    if origin in (Union, UnionType):
        return _plain(next(each for each in arguments if each is not NoneType))
    return annotation
