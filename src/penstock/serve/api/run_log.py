"""Read the log of a training run, which may still be growing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from penstock.config.json_types import is_object
from penstock.errors import DataError
from penstock.files import real_path

_MOST_EVENTS = 2000  # in one answer


def read_events(run: Path, *, after: int) -> dict[str, Any]:
    """Read the events of a run from number `after` on, at most 2,000 at a time.

    Returns:
        `name`, `events`, `next` (the number to continue from) and `finished` (whether the last
        event, which is the end of training, is among them).

    Raises:
        DataError: the log cannot be read.
    """
    path = run / "log.jsonl"
    events: list[dict[str, Any]] = []
    number, last = 0, ""
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                if not line.endswith("\n"):
                    break  # still being written
                last = line
                if number >= after and len(events) < _MOST_EVENTS:
                    events.append(_event(line))
                number += 1
    except FileNotFoundError:
        pass  # training has not started
    except (OSError, ValueError) as error:
        raise DataError(f"cannot be read: {type(error).__name__}", path=path.name) from None
    following = min(after, number) + len(events)
    return {
        "name": real_path(run).name,
        "events": events,
        "next": following,
        "finished": following == number and bool(last) and _event(last).get("event") == "stop",
    }


def _event(line: str) -> dict[str, Any]:
    event: object = json.loads(line)
    return event if is_object(event) else {}
