"""Command-line flags from option models: `@with_options(WritingOptions)` adds one per field."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from penstock.cli.console import path
from penstock.config.option_model import Options, offer_of


def with_options(
    kind: type[Options],
    *,
    only: Sequence[str] | None = None,
    show_defaults: bool = False,
    panel: str | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace a command's parameter `options` by flags, and pass it the options built from them.

    Args:
        kind: the option model.
        only: names of the flags; default: all.
        show_defaults: give flags their fields' defaults; otherwise an unused flag is None.
        panel: heading in `--help`.
    """
    flags = [
        flag
        for flag in flags_of(kind, show_defaults=show_defaults, panel=panel)
        if only is None or flag.name in only
    ]

    return lambda command: with_flags(command, flags, "options", kind.offered)


def with_flags(
    command: Callable[..., None],
    flags: Sequence[inspect.Parameter],
    parameter: str,
    build: Callable[[dict[str, Any]], Any],
) -> Callable[..., None]:
    """Replace a command's parameter by `flags`, and pass it what `build` makes of their values."""

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> None:
        values = {flag.name: arguments.pop(flag.name) for flag in flags}
        command(**arguments, **{parameter: build(values)})

    own = inspect.signature(command, eval_str=True)
    named: list[inspect.Parameter] = []
    for name, each in own.parameters.items():
        # keyword-only parameters may stand in any order; Typer passes them by name
        named += flags if name == parameter else [each.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
    wrapped.__dict__["__signature__"] = own.replace(parameters=named)
    wrapped.__annotations__ = {each.name: each.annotation for each in named}
    return wrapped


def flags_of(
    kind: type[Options], *, show_defaults: bool = False, panel: str | None = None
) -> list[inspect.Parameter]:
    """Make the flags of an option model's fields, in order, nested models included."""
    flags: list[inspect.Parameter] = []
    for name, field in kind.model_fields.items():
        offered, inner = offer_of(field), field.annotation
        if isinstance(inner, type) and issubclass(inner, Options):
            flags += flags_of(inner, panel=panel)
        elif offered.flag:
            default = field.default if show_defaults else None
            flags.append(make_flag(offered.name or name, field, default=default, panel=panel))
    return flags


def make_flag(
    name: str, field: FieldInfo, *, default: Any = None, panel: str | None = None
) -> inspect.Parameter:
    """Make a flag with a field's type and description."""
    kind = _plain(field.annotation)
    # no --no-NAME: booleans are off by default
    names = [f"--{name.replace('_', '-')}"] if kind is bool else []
    parser = path if kind is Path else None
    option = typer.Option(*names, parser=parser, help=field.description, rich_help_panel=panel)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind | None if default is None else kind, option],
    )


def _plain(annotation: Any) -> Any:
    """Convert a field's type to one for Typer: a tuple to a list, a mapping to a file's path."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _plain(arguments[0])
    if origin in (Union, UnionType):
        return _plain(next(each for each in arguments if each is not NoneType))
    if origin is tuple:
        return list[_plain(arguments[0])]
    return Path if origin is Mapping else annotation
