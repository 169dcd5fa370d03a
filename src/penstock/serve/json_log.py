"""Structured logs: a JSON object a line on stderr; no texts, no keys, no addresses."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import sys
import time
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

_SECONDS_BETWEEN = 1.0

Level = Literal["info", "warning", "error"]


def write(event: str, *, level: Level = "info", **fields: str | float | bool | None) -> None:
    """Log an event with its fields; those that are None are left out."""
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": level,
        "event": event,
        **{name: value for name, value in fields.items() if value is not None},
    }
    with suppress(OSError, ValueError):  # a log that nobody reads any more stops no request
        sys.stderr.write(json.dumps(line, ensure_ascii=False) + "\n")


def write_failure(event: str, error: BaseException) -> None:
    """Log a bug of ours: its type and where it came up, not its message, which may have a text."""
    places = [
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-8:]
    ]
    write(event, level="error", error=type(error).__name__, places=" < ".join(reversed(places)))


class _Quiet(logging.Handler):
    """Another library's log records as ours: the message without what was put into it.

    The same one again and again, as when no more files may be open, is written once a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[tuple[type, str], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, asyncio.CancelledError):
            return  # the service ends
        message = str(record.msg).split("\n")[0]
        kind, now = (type(error), message), time.monotonic()
        if now - self._told.get(kind, -math.inf) < _SECONDS_BETWEEN:
            return
        self._told = {kind: now}
        if error is not None:
            write_failure("unexpected", error)
            return
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        write("library", level=level, library=record.name, message=message)


def take_over(name: str) -> None:
    """Let a library's logger write warnings and errors as ours, and nothing else."""
    logger = logging.getLogger(name)
    logger.handlers = [_Quiet()]
    logger.setLevel(logging.WARNING)
    logger.propagate = False


def silence(name: str) -> None:
    """Let a library's logger write nothing."""
    logger = logging.getLogger(name)
    logger.handlers = [logging.NullHandler()]
    logger.propagate = False
