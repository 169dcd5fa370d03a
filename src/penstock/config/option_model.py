"""The base of all option models, and types that several of them share.

An option is one field: name, type with bounds, default and description. The Python API, the command
line, and the service's requests with their OpenAPI schema are derived from it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from penstock.errors import UsageError, nearest

Normalization = Literal["none", "average", "book", "gnmt"]
Utility = Literal["chrf", "bleu"]

BeamSize = Annotated[int, Field(ge=1, le=1000)]
LengthPenalty = Annotated[float, Field(ge=0, le=10)]
MaxLengthRatio = Annotated[float, Field(gt=0, le=1000)]

MOST_THREADS = 1024


def require_threads(threads: object) -> None:
    """Check a number of CPU threads; None is the default.

    Raises:
        UsageError: it is no whole number from 1 to `MOST_THREADS`.
    """
    if threads is None or (isinstance(threads, int) and 1 <= threads <= MOST_THREADS):
        return
    raise UsageError(
        f"threads {shorten(threads)}: must be a whole number from 1 to {MOST_THREADS:,}"
    )


def usable_threads(threads: int) -> int:
    """At most four for each processor: thousands would only wait for each other."""
    return min(threads, 4 * (os.cpu_count() or 1))


_SHOWN = 60  # characters of an invalid value that a message repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """How an option appears outside Python.

    Attributes:
        name: its name on the command line and in requests, if it differs from Python's.
        flag: whether it is a command-line flag.
        served: whether requests may set it, or the narrower type that it has there.
        most: the maximum that a request may set.
    """

    name: str | None = None
    flag: bool = True
    served: Any = True
    most: float | None = None


# float32 holds a log-probability divided by these; beyond them, samples no longer change
Temperature = Annotated[
    float,
    Field(ge=0.001, le=1000, description="Sampling temperature: below 1 sharper, above 1 flatter."),
    Offered(most=100),
]
MIN_CONFIDENCE = "Status unsure for outputs less likely than this to be exactly right."
MinConfidence = Annotated[
    Annotated[float, Field(ge=0, le=1)] | None, Field(description=MIN_CONFIDENCE)
]
TopK = Annotated[
    Annotated[int, Field(ge=1, le=1_000_000)] | None,
    Field(description="Sample from the k likeliest tokens."),
]
TopP = Annotated[
    Annotated[float, Field(gt=0, le=1)] | None,
    Field(description="Sample from the likeliest tokens with total probability p."),
]
Seed = Annotated[
    int,
    Field(ge=0, le=2**63 - 1, description="Random seed."),
    Offered(most=2**53 - 1),  # the largest integer that every JSON parser keeps exactly
]


class Options(BaseModel):
    """A frozen option model; an unknown name or an impossible value is a `UsageError`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise UsageError(first_problem(error, type(self).model_fields)) from None

    @classmethod
    def offered(cls, values: Mapping[str, Any]) -> Self:
        """Build options from command-line or request values; None and [] mean the default.

        Raises:
            UsageError: an impossible value.
        """
        names = _names(cls)
        return cls(**{names.get(n, n): v for n, v in values.items() if v not in (None, [])})

    def changed(self, **changes: Any) -> Self:
        """Copy the options with `changes`.

        Raises:
            UsageError: an impossible value.
        """
        return type(self)(**{name: getattr(self, name) for name in self.model_fields_set} | changes)


@cache
def _names(kind: type[Options]) -> dict[str, str]:
    """Fields by their names outside Python."""
    return {offer_of(field).name or name: name for name, field in kind.model_fields.items()}


def offer_of(field: FieldInfo) -> Offered:
    """The `Offered` of a field, or the default one."""
    return next((each for each in field.metadata if isinstance(each, Offered)), Offered())


def first_problem(error: ValidationError, known: Mapping[str, Any] | None = None) -> str:
    """Describe the first problem: where it is, the value found, and the remedy.

    Args:
        error: a validation error of any model.
        known: valid names, to suggest one for a misspelt name.
    """
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown option {place!r}; {nearest(place, known or {})}"
    if problem["type"] == "missing":
        return f"{place}: missing; give it"
    message = _remedy(problem["type"], problem.get("ctx", {}), problem["msg"])
    if not place:
        return message
    value = problem["input"]
    shown = "" if isinstance(value, Mapping | BaseModel) else f" = {shorten(value)}"
    return f"{place}{shown}: {message[0].lower()}{message[1:]}"


def shorten(value: object) -> str:
    """Format an invalid value for a message, truncated."""
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        text = "a number of thousands of digits"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "above"),
    "less_than": ("lt", "below"),
}


def _remedy(error_type: str, context: Mapping[str, Any], message: str) -> str:
    if error_type in _BOUNDS:
        name, words = _BOUNDS[error_type]
        bound = context[name]
        return f"must be {words} {int(bound) if bound == int(bound) else bound:,}"
    return message.removeprefix("Value error, ").replace("Input should be", "must be", 1)
