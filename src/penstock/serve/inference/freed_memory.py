"""Memory that large searches have used and freed, given back to the system."""

from __future__ import annotations

import ctypes
import time
from contextlib import suppress


class Trimmer:
    """Gives back what is free, now and then.

    The C library keeps freed memory for later: after one exact search of hundreds of megabytes a
    process would stay that large for good. Where its allocator has no such call, nothing is done.

    Args:
        seconds: from one time to the next.
    """

    def __init__(self, *, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._next = time.monotonic() + seconds

    def trim_if_due(self) -> bool:
        """Give back, if it was not done of late; whether it was time."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
        return True
