"""Reading a configuration: TOML, dotted overrides, defaults of the task, errors with a place.

Every key has a default except the data; an unknown key is rejected with the nearest known one.
Precedence: flag, `--set`, file, default.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from penstock.config.json_types import is_object
from penstock.config.option_model import first_problem
from penstock.config.run_config import RunConfig
from penstock.config.section import is_table, merge_tables, plain_table
from penstock.errors import ConfigError

Defaults = Mapping[str, Any] | Callable[[Mapping[str, Any]], Mapping[str, Any]]


def load_config(
    path: str | Path,
    overrides: Iterable[str] = (),
    *,
    values: Mapping[str, Any] | None = None,
    defaults: Defaults | None = None,
) -> RunConfig:
    """Read a TOML configuration; for the other arguments see `parse_config`.

    Raises:
        ConfigError: unreadable file, syntax error, unknown key, impossible value.
    """
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Windows editors put a BOM
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the configuration: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    return parse_config(raw, overrides, values=values, defaults=defaults, place=str(path))


def parse_config(
    raw: Mapping[str, Any],
    overrides: Iterable[str] = (),
    *,
    values: Mapping[str, Any] | None = None,
    defaults: Defaults | None = None,
    place: str = "config",
) -> RunConfig:
    """Validate a nested mapping.

    Missing keys get the task's default (`Task.defaults`), then the section's.

    Args:
        raw: the sections.
        overrides: `a.b=value` texts, applied first.
        values: by dotted key, applied after those.
        defaults: nested like `raw`, for keys that are not set; or a function of those that are.
        place: origin of `raw`, for messages.

    Raises:
        ConfigError: unknown key, impossible value.
    """
    merged = plain_table(raw)
    for override in overrides:
        key, value = _parse_override(override)
        _set(merged, key, value, f"--set {override!r}")
    for key, value in (values or {}).items():
        _set(merged, key, value, f"{place}: {key}")
    below = defaults(merged) if callable(defaults) else defaults or {}
    merged = merge_tables(plain_table(below), merged)
    try:
        return RunConfig.model_validate(RunConfig.resolve(merged, place))
    except ValidationError as error:
        raise ConfigError(f"{place}: {first_problem(error)}") from None


def dump_toml(config: RunConfig, *, set_only: bool = False) -> str:
    """The configuration with all keys, or those that are set, as TOML; null is written `none`."""
    import tomli_w

    return tomli_w.dumps(_without_null(config.model_dump(exclude_unset=set_only)))


def _without_null(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_null(value) if is_table(value) else "none" if value is None else value
        for key, value in raw.items()
    }


def _parse_override(override: str) -> tuple[str, Any]:
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError(f"--set {override!r}: write it as section.key=value")
    return key, parse_value(text)


def parse_value(text: str) -> Any:
    """The value of `--set`: one of TOML; anything else is a plain string, as in model.cell=gru."""
    return tomllib.loads(f"value = {text}")["value"] if is_toml_value(text) else text.strip()


def is_toml_value(text: str) -> bool:
    """Whether a text is one value of TOML."""
    try:
        return tomllib.loads(f"value = {text}").keys() == {"value"}
    except tomllib.TOMLDecodeError:
        return False


def _set(raw: dict[str, Any], key: str, value: Any, place: str) -> None:
    *sections, last = key.split(".")
    for section in sections:
        child = raw.setdefault(section, {})
        if not is_object(child):
            raise ConfigError(f"{place}: {section!r} is a value, not a section")
        raw = child
    raw[last] = value
