"""Reading a configuration: TOML, dotted overrides, defaults of the task, errors with a place.

Every key has a default except the data; an unknown key is rejected with the nearest known one.
Precedence: flag, `--set`, file, default.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from penstock.config.run_config import SECTIONS, RunConfig
from penstock.config.section import is_table
from penstock.errors import ConfigError
from penstock.json_types import is_object
from penstock.tasks import DEFAULTS, Task


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> RunConfig:
    """Read a TOML configuration; `overrides` are `a.b=value` strings, applied last.

    Raises:
        ConfigError: unreadable file, syntax error, unknown key, impossible value.
    """
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Windows editors put a BOM
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the configuration: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    return parse_config(raw, overrides, place=str(path))


def parse_config(
    raw: Mapping[str, Any], overrides: Iterable[str] = (), *, place: str = "config"
) -> RunConfig:
    """Validate a nested mapping after applying `a.b=value` overrides.

    What neither says is as the task wants it (`penstock.tasks.DEFAULTS`), then as the sections
    above have it.
    """
    merged = _copy(raw)
    for override in overrides:
        _apply_override(merged, override)
    _refuse_unknown(merged, RunConfig, place, ())
    task = merged.get("task", "translation")
    usual = DEFAULTS.get(cast(Task, task if isinstance(task, str) else ""), {})
    try:
        return RunConfig.model_validate(_laid_over(usual, merged))
    except ValidationError as error:
        raise ConfigError(f"{place}: {_first_problem(error)}") from None


def dump_toml(config: RunConfig) -> str:
    """The configuration as resolved, every key present, as TOML; null is written `none`."""
    import tomli_w

    return tomli_w.dumps(_without_null(config.model_dump()))


def _without_null(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_null(value) if is_table(value) else "none" if value is None else value
        for key, value in raw.items()
    }


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings as one, `above` before `below`."""
    joined = dict(below)
    for key, value in above.items():
        under = joined.get(key)
        if is_table(value) and is_table(under):
            joined[key] = _laid_over(under, value)
        else:
            joined[key] = value
    return joined


def _copy(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _copy(v) if is_table(v) else v for k, v in raw.items()}


def _apply_override(raw: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError(f"--set {override!r}: write it as section.key=value")
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        parsed = {}
    # what is not one TOML value is a string as it stands: --set model.cell=gru
    value = parsed["value"] if parsed.keys() == {"value"} else text.strip()
    *sections, last = key.split(".")
    for section in sections:
        child = raw.setdefault(section, {})
        if not is_object(child):
            raise ConfigError(f"--set {override!r}: {section!r} is a value, not a section")
        raw = child
    raw[last] = value


def _refuse_unknown(
    raw: Mapping[str, Any], section: type[BaseModel], place: str, path: tuple[str, ...]
) -> None:
    known = section.model_fields
    for key, value in raw.items():
        where = f"[{'.'.join(path)}]" if path else "the configuration"
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            home = next((name for name, s in SECTIONS.items() if key in s.model_fields), None)
            if not path and home is not None:
                remedy = f"did you mean '{home}.{key}'?"
            elif close:
                remedy = f"did you mean {close[0]!r}?"
            else:
                remedy = f"known: {', '.join(known)}"
            raise ConfigError(f"{place}: unknown key {key!r} in {where}; {remedy}")
        inner = known[key].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            if not is_table(value):
                raise ConfigError(f"{place}: {key!r} in {where} must be a section, found {value!r}")
            _refuse_unknown(value, inner, place, (*path, key))


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    message = problem["msg"].removeprefix("Value error, ")
    where = ".".join(str(part) for part in problem["loc"])
    value = problem["input"]
    shown = "" if isinstance(value, Mapping | BaseModel) else f" = {value!r}"
    place = f"{where}{shown}: " if where else ""
    return f"{place}{message[0].lower() if where else message[0]}{message[1:]}"
