"""The pieces of a text that grows in one thread and may be closed from another."""

from __future__ import annotations

import threading
from collections.abc import Iterator


class PieceIterator:
    """An iterator that one thread may close while another is still in it."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces = pieces
        self._held = threading.Lock()

    def next(self) -> str | None:
        """The next piece; None at the end."""
        with self._held:
            return next(self._pieces, None)

    def close(self) -> None:
        """End the iterator, after the piece that it may be at."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            with self._held:
                close()
