"""Reading a configuration: TOML, dotted overrides, defaults of the task, errors with a place.

Every key has a default except the data; an unknown key is rejected with the nearest known one.
Precedence: flag, `--set`, file, default.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from penstock.config.run_config import RunConfig
from penstock.config.section import is_table, plain_table
from penstock.errors import ConfigError
from penstock.json_types import is_object
from penstock.options import first_problem


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

    What neither says is as the task wants it (`Task.defaults`), then as the sections
    above have it.
    """
    merged = plain_table(raw)
    for override in overrides:
        _apply_override(merged, override)
    try:
        return RunConfig.model_validate(RunConfig.resolve(merged, place))
    except ValidationError as error:
        raise ConfigError(f"{place}: {first_problem(error)}") from None


def dump_toml(config: RunConfig) -> str:
    """The configuration as resolved, every key present, as TOML; null is written `none`."""
    import tomli_w

    return tomli_w.dumps(_without_null(config.model_dump()))


def _without_null(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_null(value) if is_table(value) else "none" if value is None else value
        for key, value in raw.items()
    }


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
