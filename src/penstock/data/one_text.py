"""The one file of a task that reads plain text."""

from __future__ import annotations

from pathlib import Path

from penstock.errors import ConfigError


def one_text(name: str | list[str]) -> str:
    """The file of a task that has one text.

    Raises:
        ConfigError: several files, or one of pairs.
    """
    if isinstance(name, list) and len(name) != 1:
        raise ConfigError(
            f"{len(name)} files ({', '.join(name)}): this task reads one file of text; join them"
        )
    path = name if isinstance(name, str) else name[0]
    if ".jsonl" in Path(path).suffixes[-2:]:
        raise ConfigError(f"{path}: this task reads plain text, and this is a file of pairs")
    return path
