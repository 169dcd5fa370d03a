"""Buffered reading of binary files of word vectors."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from penstock.errors import DataError

MAX_WORD_BYTES = 2**16
_CHUNK_BYTES = 2**20


class ByteReader:
    """Buffered reading of a binary file, with errors that say where it is truncated."""

    def __init__(self, stream: IO[bytes], path: str | Path) -> None:
        self._stream = stream
        self._path = path
        self._buffer = b""
        self._next = 0  # within the buffer
        self._before = 0  # bytes of the file before the buffer

    @property
    def offset(self) -> int:
        """Bytes read so far."""
        return self._before + self._next

    def exactly(self, count: int, what: str) -> bytes:
        """The next `count` bytes.

        Raises:
            DataError: the file ends inside `what`.
        """
        while len(self._buffer) - self._next < count:
            if not self._fill(count):
                raise self.cut(what)
        start = self._next
        self._next += count
        return self._buffer[start : self._next]

    def until(self, end: bytes, what: str) -> bytes:
        """Bytes up to the byte `end`, which is consumed.

        Raises:
            DataError: the file ends first, or there is no such byte within `MAX_WORD_BYTES`.
        """
        while (found := self._buffer.find(end, self._next)) < 0:
            if len(self._buffer) - self._next > MAX_WORD_BYTES:
                break
            if not self._fill(1):
                raise self.cut(what)
        if found - self._next > MAX_WORD_BYTES or found < 0:
            raise DataError(
                f"{what} at byte {self.offset:,} is longer than {MAX_WORD_BYTES:,} bytes: the "
                "file is damaged; fetch or make it again",
                path=self._path,
            )
        start, self._next = self._next, found + 1
        return self._buffer[start:found]

    def rest(self, count: int) -> bytes:
        """The next `count` bytes, or fewer at the end of the file."""
        while len(self._buffer) - self._next < count and self._fill(count):
            pass
        start = self._next
        self._next = min(start + count, len(self._buffer))
        return self._buffer[start : self._next]

    def cut(self, what: str) -> DataError:
        """The error for a file that ends inside `what`."""
        end = self._before + len(self._buffer)
        return DataError(
            f"the file ends at byte {end:,} inside {what}: it is cut short; fetch or make it again",
            path=self._path,
        )

    def _fill(self, wanted: int) -> bool:
        """Read more; False at the end of the file."""
        more = self._stream.read(max(_CHUNK_BYTES, min(wanted, 16 * _CHUNK_BYTES)))
        self._before += self._next
        self._buffer = self._buffer[self._next :] + more
        self._next = 0
        return bool(more)
