"""Type guards for parsed JSON."""

from __future__ import annotations

from typing import Any, TypeGuard


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a parsed value is an object, whose keys are strings."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Whether a parsed value is an array."""
    return isinstance(value, list)


def are_texts(value: object) -> TypeGuard[list[str]]:
    """Whether a parsed value is an array of strings, none of them empty."""
    return is_array(value) and all(isinstance(text, str) and text for text in value)
