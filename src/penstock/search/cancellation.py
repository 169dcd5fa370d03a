"""Ending a search that nobody waits for any more, from outside of it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar


class SearchStoppedError(Exception):
    """A search ended before it was done, because `stopped_when` said so."""


_is_unwanted: ContextVar[Callable[[], bool] | None] = ContextVar("is_unwanted", default=None)


@contextmanager
def stopped_when(is_unwanted: Callable[[], bool]) -> Generator[None]:
    """Searches within end with `SearchStoppedError` at their next step once this is true.

    It holds for this thread. `is_unwanted` is asked before each step of a decoder, so it must be
    cheap; what other threads change it sees at once.
    """
    token = _is_unwanted.set(is_unwanted)
    try:
        yield
    finally:
        _is_unwanted.reset(token)


def stop_if_unwanted() -> None:
    """Called before each step of a decoder, and before what else takes long.

    Raises:
        SearchStoppedError: nobody wants the search's result.
    """
    is_unwanted = _is_unwanted.get()
    if is_unwanted is not None and is_unwanted():
        raise SearchStoppedError
