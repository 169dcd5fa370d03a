"""Return freed memory to the operating system."""

from __future__ import annotations

import ctypes
import time
from contextlib import suppress


class Trimmer:
    """Call `malloc_trim` from time to time.

    The C library keeps freed memory: after one exact search of hundreds of megabytes, the process
    would stay that large. Where the allocator has no such call, nothing happens.

    Args:
        seconds: minimum time between two calls.
    """

    def __init__(self, *, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._next = time.monotonic() + seconds

    def trim_if_due(self) -> bool:
        """Trim if the last time is long enough ago, and return whether it was."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
        return True
