"""Lines before they become tokens: blank ones, and ones too long for a model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

_SENTENCE_END = re.compile(r"(?<=[.!?…。！？])\s+")


def is_blank(line: str) -> bool:
    """Whether nothing in the line can be seen: white space, zero-width and control characters."""
    return all(c.isspace() or unicodedata.category(c) in ("Cc", "Cf") for c in line)


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
