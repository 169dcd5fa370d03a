"""Lines before they become tokens: blank ones, many of them, and ones too long for a model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator

_BUFFER_LINES = 1024
_BUFFER_CHARACTERS = 2**20
_NO_LINE_ENDS = str.maketrans("", "", "\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029")
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


def outer_space(line: str) -> tuple[str, str]:
    """The white space before and behind a line's text; line ends are none of it."""
    text = line.strip()
    if not text:
        return "", ""
    first = line.index(text)
    before, behind = line[:first], line[first + len(text) :]
    return before.translate(_NO_LINE_ENDS), behind.translate(_NO_LINE_ENDS)


def cut_to_fit(line: str, fits: Callable[[str], bool]) -> Iterator[str]:
    """Cut a long line at sentence ends, then at spaces, then anywhere, into pieces that fit.

    A single character that does not fit stays as it is.
    """
    for sentence in _SENTENCE_END.split(line):
        words = [sentence] if fits(sentence) else sentence.split()
        piece = ""
        for word in words:
            longer = f"{piece} {word}" if piece else word
            if piece and not fits(longer):
                yield from _halves(piece, fits)
                longer = word
            piece = longer
        if piece.strip():
            yield from _halves(piece, fits)


def _halves(text: str, fits: Callable[[str], bool]) -> Iterator[str]:
    if len(text) == 1 or fits(text):
        yield text
        return
    middle = len(text) // 2
    yield from _halves(text[:middle], fits)
    yield from _halves(text[middle:], fits)
