"""Structured logs: one JSON object per line on stderr; no texts, keys or addresses."""

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
    """Log an event with its fields, except those that are None."""
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": level,
        "event": event,
        **{name: value for name, value in fields.items() if value is not None},
    }
    with suppress(OSError, ValueError):  # a closed log must not fail a request
        sys.stderr.write(json.dumps(line, ensure_ascii=False) + "\n")


def write_failure(event: str, error: BaseException) -> None:
    """Log a bug: its type and traceback, not its message, which may contain a user's text."""
    places = [
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-8:]
    ]
    write(event, level="error", error=type(error).__name__, places=" < ".join(reversed(places)))


class _Quiet(logging.Handler):
    """Write a library's records to our log: the message's template without its arguments.

    A repeated record (such as too many open files) is written at most once per second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[type, str], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, asyncio.CancelledError):
            return  # the service is shutting down
        message = str(record.msg).split("\n")[0]
        key, now = (type(error), message), time.monotonic()
        if now - self._last.get(key, -math.inf) < _SECONDS_BETWEEN:
            return
        self._last = {key: now}
        if error is not None:
            write_failure("unexpected", error)
            return
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        write("library", level=level, library=record.name, message=message)


def take_over(name: str) -> None:
    """Redirect a library's warnings and errors to our log, and drop the rest."""
    logger = logging.getLogger(name)
    logger.handlers = [_Quiet()]
    logger.setLevel(logging.WARNING)
    logger.propagate = False


def silence(name: str) -> None:
    """Drop a library's log records."""
    logger = logging.getLogger(name)
    logger.handlers = [logging.NullHandler()]
    logger.propagate = False
