"""Request fields from option models: `@with_option_fields(SearchOptions)` adds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from annotated_types import Le
from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo

from penstock.config.option_model import Offered, Options, offer_of

M = TypeVar("M", bound=BaseModel)


def with_option_fields(*kinds: type[Options]) -> Callable[[type[M]], type[M]]:
    """Add a field to a request for each served option; null means its default."""

    def extended(request: type[M]) -> type[M]:
        fields: dict[str, Any] = {
            name: (_narrowed(field, offered) | None, _default(field))
            for kind in kinds
            for name, field, offered in _served(kind)
        }
        return create_model(
            request.__name__,
            __base__=request,
            __doc__=request.__doc__,
            __module__=request.__module__,
            **fields,
        )

    return extended


@cache
def served_names(kind: type[Options]) -> frozenset[str]:
    """The names of an option model's fields in requests."""
    return frozenset(name for name, _, _ in _served(kind))


def _served(kind: type[Options]) -> Iterator[tuple[str, FieldInfo, Offered]]:
    for name, field in kind.model_fields.items():
        offered = offer_of(field)
        if offered.served is not False:
            yield offered.name or name, field, offered


def _narrowed(field: FieldInfo, offered: Offered) -> Any:
    """A field's type with its own bounds and the service's."""
    if offered.served is not True:
        return offered.served
    kind: Any = field.annotation
    if get_origin(kind) in (Union, UnionType):
        kind = next(each for each in get_args(kind) if each is not NoneType)
    bounds = [each for each in field.metadata if not isinstance(each, Offered)]
    most = [] if offered.most is None else [Le(offered.most)]
    return Annotated[kind, *bounds, *most] if bounds or most else kind


def _default(field: FieldInfo) -> Any:
    """A field's default; null if it is empty."""
    default = None if field.default in ("", ()) else field.default
    return Field(default, description=field.description)
