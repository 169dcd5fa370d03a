"""Output of the command line: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from penstock.errors import UsageError, visible


def path(text: str | Path) -> Path:
    """Convert an option's value.

    Raises:
        UsageError: it is empty, which `Path` takes for `.`.
    """
    if not str(text):
        raise UsageError("an empty path: name a directory or file (. is the current directory)")
    return Path(text)


def write_line(text: str) -> None:
    """Write one result line to stdout as UTF-8 with `\\n`, on any platform."""
    sys.stdout.buffer.write(text.encode("utf-8", "replace") + b"\n")


def write_json(value: Any) -> None:
    """Write one JSON value on one line to stdout."""
    write_line(json.dumps(value, ensure_ascii=False))


def flush() -> None:
    """Flush results for the reader at the other end of a pipe."""
    sys.stdout.buffer.flush()


def note(text: str) -> None:
    """Write a message to stderr, control characters and what is no UTF-8 as escapes."""
    sys.stderr.write(visible(text).encode("utf-8", "backslashreplace").decode() + "\n")
