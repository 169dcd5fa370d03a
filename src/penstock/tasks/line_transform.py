"""One result per line of a stream, written as it is computed, and counted by status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol, TypeVar

from penstock.errors import DataError


class Result(Protocol):
    """A result with a status."""

    @property
    def status(self) -> str:
        """`ok`, `empty`, or what else happened to the line."""
        ...


R = TypeVar("R", bound=Result)


@dataclass
class LineCounts:
    """Lines by status, and how many were read in other case."""

    statuses: Counter[str] = field(default_factory=Counter[str])
    recased: int = 0

    def add(self, result: Result) -> None:
        """Count one result."""
        self.statuses[result.status] += 1
        self.recased += getattr(result, "read_as", None) is not None

    @property
    def lines(self) -> int:
        """All lines."""
        return self.statuses.total()

    @property
    def odd(self) -> str:
        """The lines that were not `ok` or `empty`, as in `3 split, 1 unfamiliar`."""
        return listed(self.statuses)

    def notes(self, shown_by: str) -> Iterator[str]:
        """Messages about lines that were not `ok`, and `shown_by` what shows which."""
        if self.odd:
            lines = "1 line" if self.lines == 1 else f"{self.lines:,} lines"
            yield f"of {lines}: {self.odd} ({shown_by} shows which)"
        if self.recased:
            lines = "1 line was" if self.recased == 1 else f"{self.recased:,} lines were"
            yield f"{lines} read in other case ({shown_by} shows which)"


def listed(statuses: Mapping[str, int]) -> str:
    """The statuses that a reader should know of, with their numbers."""
    odd = {status: n for status, n in statuses.items() if status not in ("ok", "empty")}
    return ", ".join(f"{n:,} {status}" for status, n in sorted(odd.items()))


def write_results(
    buffers: Iterable[Sequence[str]],
    transform: Callable[[Sequence[str]], Iterable[R]],
    shown: Callable[[R], str],
    stream: IO[bytes],
    *,
    source: str | Path,
) -> LineCounts:
    """Write one line for each result, a buffer of lines at a time.

    Args:
        buffers: of input lines.
        transform: computes the results of a buffer.
        shown: formats a result.
        stream: where they are written; flushed after each buffer.
        source: the file of the lines, for messages.

    Raises:
        DataError: `transform` rejects a line; the error names the line of the file.
    """
    counts = LineCounts()
    for buffer in buffers:
        try:
            results = transform(buffer)
        except DataError as error:
            if error.line is None or error.path is not None:
                raise
            message = str(error).partition(": ")[2]
            raise DataError(message, path=source, line=error.line + counts.lines) from None
        for result in results:
            counts.add(result)
            stream.write((shown(result) + "\n").encode("utf-8", "replace"))
        stream.flush()
    return counts
