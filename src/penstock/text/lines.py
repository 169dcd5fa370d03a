"""Lines before they become tokens: blank ones, many of them, and ones too long for a model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator

_BUFFER_LINES = 1024
_BUFFER_CHARACTERS = 2**20
_SENTENCE_END = re.compile(r"(?<=[.!?…。！？])\s+")


def is_blank(line: str) -> bool:
    """Whether nothing in the line can be seen: white space, zero-width and control characters."""
    return all(c.isspace() or unicodedata.category(c) in ("Cc", "Cf") for c in line)


def in_buffers(
    lines: Iterable[str], *, most: int = _BUFFER_LINES, characters: int = _BUFFER_CHARACTERS
) -> Iterator[list[str]]:
    """A stream of lines in lists; each ends where it reaches so many lines or characters."""
    buffer: list[str] = []
    size = 0
    for line in lines:
        buffer.append(line)
        size += len(line)
        if len(buffer) >= most or size >= characters:
            yield buffer
            buffer, size = [], 0
    if buffer:
        yield buffer


def cut_to_fit(line: str, fits: Callable[[str], bool]) -> Iterator[str]:
    """Cut a long line at sentence ends, then at spaces, into pieces that fit where possible."""
    for sentence in _SENTENCE_END.split(line):
        words = [sentence] if fits(sentence) else sentence.split()
        piece = ""
        for word in words:
            longer = f"{piece} {word}" if piece else word
            if piece and not fits(longer):
                yield piece
                longer = word
            piece = longer
        if piece.strip():
            yield piece
