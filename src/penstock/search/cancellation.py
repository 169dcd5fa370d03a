"""Cancel a running search, for example when its client has disconnected."""

from __future__ import annotations

from collections.abc import Callable

# asked between steps, so it must be cheap; True cancels
ShouldStop = Callable[[], bool]


class SearchStoppedError(Exception):
    """A search was cancelled before it was done."""


def check_stop(should_stop: ShouldStop | None) -> None:
    """Cancel a search; called before every step, and before anything else that takes long.

    Raises:
        SearchStoppedError: `should_stop` returned True.
    """
    if should_stop is not None and should_stop():
        raise SearchStoppedError
