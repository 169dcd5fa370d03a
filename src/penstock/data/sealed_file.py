"""Cached files that are verified when they are read back.

Beside a file stands its seal: the SHA-256 of the content, and what else is known of it. The seal is
written last, so a file without one was never finished. Verifying reads the file once, in chunks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from penstock.config.json_types import is_object
from penstock.files import atomic_write, checksum_holds, file_checksum, remove, with_checksum

Report = Callable[[str], None]


def seal_path(path: Path) -> Path:
    """Where the seal of a file stands."""
    return path.with_name(f"{path.name}.seal")


def break_seal(path: Path) -> None:
    """Remove the seal of a file that is about to be replaced."""
    remove(seal_path(path))


def seal(path: Path, facts: Mapping[str, Any] | None = None) -> None:
    """Seal a finished file, with what else is known of it."""
    record = with_checksum({"sha256": file_checksum(path), "facts": dict(facts or {})})
    atomic_write(seal_path(path), json.dumps(record) + "\n")


def verified(path: Path) -> dict[str, Any] | None:
    """The facts about a sealed file; None if it is absent, unfinished or damaged."""
    try:
        record = json.loads(seal_path(path).read_text(encoding="utf-8"))
        if is_object(record) and checksum_holds(record) and file_checksum(path) == record["sha256"]:
            return dict(record["facts"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def cached(path: Path, report: Report) -> dict[str, Any] | None:
    """As `verified`, but damage is reported, for a caller that makes the file again."""
    facts = verified(path)
    if facts is None and path.exists() and seal_path(path).exists():
        report(f"{path}: damaged since it was written; it is made again")
    return facts
