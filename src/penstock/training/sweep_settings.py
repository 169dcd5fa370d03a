"""The settings of a sweep: which values each key takes, and how they are written.

`key=A,B` gives a key several values, separated by commas that stand outside of quotes and brackets;
what is one TOML value as a whole is one value. `key=LOW..HIGH` is a range for a search; `:log` or
`:STEP` may follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, get_args, get_origin

from penstock.config import RunConfig
from penstock.config.config_file import is_toml_value, parse_value
from penstock.config.section import sections_of
from penstock.errors import UsageError
from penstock.files import content_key

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?::(log|{_NUMBER}))?")
_LONGEST = 40  # characters of a value in a run's name


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds, both included; whole numbers if both bounds are.

    Attributes:
        low, high: the bounds.
        log: whether to search by ratios instead of differences.
        step: only numbers that are multiples of it above `low`.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            least = "0 < LOW < HIGH" if self.log else "LOW < HIGH"
            raise UsageError(f"range {self.low}..{self.high}: needs {least}")
        if self.step is not None and (self.log or not 0 < self.step <= self.high - self.low):
            raise UsageError(
                f"range {self.low}..{self.high}: a step of {self.step} needs "
                "0 < STEP <= HIGH - LOW, and no log"
            )


Values = Sequence[Any] | Range
Settings = Mapping[str, Values]


def parse_settings(overrides: Iterable[str]) -> dict[str, Values]:
    """The values of each key, of texts `key=VALUES`; the last text for a key counts.

    Raises:
        UsageError: no key, an empty value or one that is there twice, or commas in a key that takes
            a list.
    """
    settings: dict[str, Values] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UsageError(f"--set {override!r}: write it as section.key=value or key=A,B")
        settings[key] = _values(override, key, text.strip())
    return settings


def _values(override: str, key: str, text: str) -> Values:
    found = _RANGE.fullmatch(text)
    if found:
        low, high = (_number(bound) for bound in found.groups()[:2])
        step = None if found[3] in (None, "log") else _number(found[3])
        return Range(low, high, log=found[3] == "log", step=step)
    if is_toml_value(text):
        return [parse_value(text)]
    parts = list(_split(text))
    if len(parts) > 1 and takes_list(key) and not all(map(is_toml_value, parts)):
        raise UsageError(
            f"--set {override!r}: {key} may be a list, so say what the commas separate: "
            '"A","B" are two values, ["A","B"] is one, ["A","B"],["C","D"] are two lists'
        )
    values = [parse_value(part) for part in parts]
    if "" in parts or any(value in values[:i] for i, value in enumerate(values)):
        raise UsageError(f"--set {override!r}: a value is empty, or there twice; remove it")
    return values


def _number(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _split(text: str) -> Iterator[str]:
    """The parts between commas that stand outside of quotes and brackets."""
    depth, quote, part = 0, "", ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        elif character == "," and not depth:
            yield part.strip()
            part = ""
            continue
        part += character
    yield part.strip()


def takes_list(key: str) -> bool:
    """Whether a key of the configuration may have a list as its value."""
    model: Any = RunConfig
    *path, last = key.split(".")
    for name in path:
        model = sections_of(model).get(name)
        if model is None:
            return False
    field = model.model_fields.get(last)
    types = () if field is None else (field.annotation, *get_args(field.annotation))
    return any(get_origin(kind) is list for kind in types)


def varied_keys(settings: Settings) -> list[str]:
    """The keys that do not have one value for all runs."""
    return [k for k, values in settings.items() if isinstance(values, Range) or len(values) > 1]


def combinations(settings: Settings) -> list[dict[str, Any]]:
    """Every combination of the values, in order.

    Raises:
        UsageError: a range, which has no list of values.
    """
    for key, values in settings.items():
        if isinstance(values, Range):
            raise UsageError(
                f"{key} = {values.low}..{values.high}: a range needs a search: add --trials N, or "
                "list the values"
            )
    lists = [values for values in settings.values() if not isinstance(values, Range)]
    return [dict(zip(settings, row, strict=True)) for row in product(*lists)]


def run_name(settings: Mapping[str, Any], seed: int) -> str:
    """A folder's name for the settings that vary, unique and safe on every file system."""
    short = [key.rpartition(".")[2] for key in settings]
    keys = short if len(set(short)) == len(short) else list(settings)
    parts = [f"{key}-{_slug(value)}" for key, value in zip(keys, settings.values(), strict=True)]
    return "_".join([*parts, f"seed-{seed}"])


def _slug(value: Any) -> str:
    text = str(value)
    slug = re.sub(r"[^A-Za-z0-9.+-]+", "-", text).strip("-.")[:_LONGEST]
    return slug if slug == text else f"{slug}-{content_key(text)[:6]}"
