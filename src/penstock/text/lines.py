"""Lines of text: blank ones, chunks of lines, long lines cut, rows of a table."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator

_CHUNK_LINES = 1024
_CHUNK_CHARACTERS = 2**20
_BREAKS = str.maketrans("\t\n\r", "   ")
_NO_LINE_ENDS = str.maketrans("", "", "\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029")
_SENTENCE_END = re.compile(r"(?<=[.!?…。！？])\s+")


def is_blank(line: str) -> bool:
    """Whether a line has only white space, zero-width and control characters."""
    return all(c.isspace() or unicodedata.category(c) in ("Cc", "Cf") for c in line)


def in_chunks(
    lines: Iterable[str], *, max_lines: int = _CHUNK_LINES, max_characters: int = _CHUNK_CHARACTERS
) -> Iterator[list[str]]:
    """Group a stream of lines into lists, each closed once it reaches a limit."""
    chunk: list[str] = []
    size = 0
    for line in lines:
        chunk.append(line)
        size += len(line)
        if len(chunk) >= max_lines or size >= max_characters:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def outer_space(line: str) -> tuple[str, str]:
    """The white space around a line's text, without line ends."""
    text = line.strip()
    if not text:
        return "", ""
    before, _, after = line.partition(text)
    return before.translate(_NO_LINE_ENDS), after.translate(_NO_LINE_ENDS)


def cut_to_fit(line: str, fits: Callable[[str], bool]) -> Iterator[str]:
    """Cut a long line at sentence ends, then at spaces, then anywhere, into segments that fit.

    A single character that does not fit is kept.
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


def as_row(cells: Iterable[str]) -> str:
    """Join cells to a TSV line; a tab or line end within a cell becomes a space."""
    return "\t".join(cell.translate(_BREAKS) for cell in cells)


def as_cell(confidence: float | None) -> str:
    """Format a confidence; an empty cell stands for none."""
    return "" if confidence is None else f"{confidence:.4f}"
