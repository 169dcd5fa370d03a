"""What options of every kind have in common, and the values that several of them share.

An option is one field: name, type with bounds, default, description. The command line, the
service's requests with their OpenAPI schema, and Python are made from it.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from penstock.errors import UsageError

Normalization = Literal["none", "average", "book", "gnmt"]
Utility = Literal["chrf", "bleu"]

BeamSize = Annotated[int, Field(ge=1, le=1000)]
LengthPenalty = Annotated[float, Field(ge=0, le=10)]
MaxLengthRatio = Annotated[float, Field(gt=0, le=1000)]
# float32 takes a log-probability divided by these; below and above, draws no longer change
Temperature = Annotated[float, Field(ge=0.001, le=1000)]
TopK = Annotated[int, Field(ge=1, le=1_000_000)]
TopP = Annotated[float, Field(gt=0, le=1)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
MOST_SERVED_SEED = 2**53 - 1  # the largest that every reader of JSON keeps exactly

_SHOWN = 60  # characters of a wrong value that a message repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """Where an option is offered beside Python, and how.

    Attributes:
        name: on the command line and in requests, where Python has another one.
        flag: whether it is a flag.
        served: whether a request may have it; or the narrower type that it has there.
        most: the greatest value that a request may give.
    """

    name: str | None = None
    flag: bool = True
    served: Any = True
    most: float | None = None


class Options(BaseModel):
    """Options as one frozen value; an unknown name or an impossible value is a `UsageError`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def __init__(self, /, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise UsageError(first_problem(error, type(self).model_fields)) from None

    @classmethod
    def offered(cls, values: Mapping[str, Any]) -> Self:
        """From the names on the command line and in requests; None and an empty list say nothing.

        Raises:
            UsageError: an impossible value.
        """
        names = {offer_of(field).name or name: name for name, field in cls.model_fields.items()}
        given = {names.get(name, name): value for name, value in values.items()}
        return cls(**{name: value for name, value in given.items() if value not in (None, [])})

    def changed(self, **changes: Any) -> Self:
        """The same but for `changes`.

        Raises:
            UsageError: an impossible value.
        """
        return type(self)(
            **({name: getattr(self, name) for name in self.model_fields_set} | changes)
        )


def offer_of(field: FieldInfo) -> Offered:
    """How a field is offered."""
    return next((each for each in field.metadata if isinstance(each, Offered)), Offered())


def first_problem(error: ValidationError, known: Mapping[str, Any] | None = None) -> str:
    """The first thing that is wrong, with its place, the value found and the remedy.

    Args:
        error: of any model.
        known: names that a misspelt one may stand for.
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


def nearest(name: str, known: Mapping[str, Any]) -> str:
    """What an unknown name was probably meant to be, or what there is."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


def shorten(value: object) -> str:
    """A wrong value as a message repeats it."""
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


def _remedy(kind: str, context: Mapping[str, Any], message: str) -> str:
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        bound = context[name]
        return f"must be {words} {int(bound) if bound == int(bound) else bound:,}"
    return message.removeprefix("Value error, ").replace("Input should be", "must be", 1)
