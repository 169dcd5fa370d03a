"""The base of all configuration sections: frozen, strict, unknown keys rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Annotated, Any, TypeGuard, TypeVar, cast, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from penstock.config.option_model import first_problem
from penstock.errors import ConfigError, nearest

AUTO = "auto"
_T = TypeVar("_T")


class _ChosenFromData:
    """Marks keys whose default is chosen from the data (`penstock.config.automatic`)."""


_CHOSEN = _ChosenFromData()
Auto = Annotated[_T, _CHOSEN]
"""The type of a key that may be `auto`, which is its default."""


class Section(BaseModel):
    """One section: frozen; unknown keys and values of another type are errors."""

    # strict: `max_updates = true` is not 1, and `bidirectional = "no"` is not False
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
    )

    if not TYPE_CHECKING:  # a type checker derives the signature from the fields

        def __init__(self, **values):
            """Validate keyword arguments.

            Raises:
                ConfigError: unknown key or impossible value, worded as on the command line.
            """
            place = type(self).__name__
            try:
                super().__init__(**self.resolve(values, place))
            except ValidationError as error:
                raise ConfigError(f"{place}: {first_problem(error)}") from None

        # pydantic then skips it for nested sections and `model_validate`: those errors belong to
        # the whole configuration
        __init__.__pydantic_base_init__ = True

    @classmethod
    def resolve(cls, values: Mapping[str, Any], place: str) -> dict[str, Any]:
        """Validate keys and return the values as plain data."""
        plain = plain_table(values)
        reject_unknown(plain, cls, place)
        return _without_auto(plain, cls)

    @field_validator("*", mode="before")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        """Reject NUL in paths, names and separators before the system does."""
        several = isinstance(value, list | tuple)
        texts = cast(Sequence[Any], value) if several else [value]
        if any(isinstance(text, str) and "\0" in text for text in texts):
            raise ValueError("has a NUL character; remove it")
        return value

    @model_validator(mode="before")
    @classmethod
    def _none_by_name(cls, values: Any) -> Any:
        """Read `none` in an optional key as null, which TOML lacks."""
        if not is_table(values):
            return values
        fields = cls.model_fields
        return {
            key: None if value == "none" and key in fields and _is_optional(fields[key]) else value
            for key, value in values.items()
        }


def is_table(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a value is a section."""
    return isinstance(value, Mapping)


def plain_table(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert to nested plain data: sections to the keys that were set, paths to strings."""
    return {key: _plain(value) for key, value in values.items()}


def merge_tables(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested mappings; `above` takes precedence."""
    joined = dict(below)
    for key, value in above.items():
        under = joined.get(key)
        if is_table(value) and is_table(under):
            value = merge_tables(under, value)
        joined[key] = value
    return joined


def _plain(value: object) -> object:
    if isinstance(value, Section):
        return value.model_dump(exclude_unset=True)
    if is_table(value):
        return plain_table(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in cast(Sequence[object], value)]
    return str(cast(object, value)) if isinstance(value, PathLike) else value


def sections_of(section: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The sections inside a section, by key."""
    types = {key: field.annotation for key, field in section.model_fields.items()}
    return {k: v for k, v in types.items() if isinstance(v, type) and issubclass(v, BaseModel)}


def reject_unknown(
    raw: Mapping[str, Any], section: type[BaseModel], place: str, path: tuple[str, ...] = ()
) -> None:
    """Check the keys of a section and its subsections.

    Raises:
        ConfigError: an unknown key, with the nearest known one; a value in place of a section.
    """
    known, inner = section.model_fields, sections_of(section)
    for key, value in raw.items():
        where = f" in [{'.'.join(path)}]" if path else " in the configuration" if inner else ""
        if key not in known:
            home = next((name for name, s in inner.items() if key in s.model_fields), None)
            if not path and home is not None:
                remedy = f"did you mean '{home}.{key}'?"
            else:
                remedy = nearest(key, known)
            raise ConfigError(f"{place}: unknown key {key!r}{where}; {remedy}")
        if key in inner:
            if not is_table(value):
                raise ConfigError(f"{place}: {key!r}{where} must be a section, found {value!r}")
            reject_unknown(value, inner[key], place, (*path, key))


def automatic_keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    """The dotted keys that may be `auto`, in order."""
    found: list[str] = []
    inner = sections_of(section)
    for key, field in section.model_fields.items():
        if key in inner:
            found += automatic_keys(inner[key], f"{prefix}{key}.")
        elif _CHOSEN in field.metadata:
            found.append(f"{prefix}{key}")
    return found


def _without_auto(values: Mapping[str, Any], section: type[BaseModel]) -> dict[str, Any]:
    """Leave out keys that are `auto`: a key that is not set is chosen from the data."""
    fields, inner = section.model_fields, sections_of(section)
    return {
        key: _without_auto(value, inner[key]) if key in inner and is_table(value) else value
        for key, value in values.items()
        if not (value == AUTO and _CHOSEN in fields[key].metadata)
    }


def _is_optional(field: FieldInfo) -> bool:
    return type(None) in get_args(field.annotation)
