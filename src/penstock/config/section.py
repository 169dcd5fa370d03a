"""What every section of the configuration has: frozen, strict, unknown keys rejected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard, get_args

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.fields import FieldInfo


class Section(BaseModel):
    """One section: frozen; unknown keys and values of another type are errors."""

    # strict: `max_updates = true` is no 1, and `bidirectional = "no"` no False
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _none_by_name(cls, values: Any) -> Any:
        """TOML has no null: `none` in an optional key means it."""
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


def _is_optional(field: FieldInfo) -> bool:
    return type(None) in get_args(field.annotation)
