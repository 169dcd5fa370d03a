"""A pair under test, with what several filters need of it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cached_property

from penstock.data.source_keys import fold

_SPACE, _ZERO = ord(" "), ord("0")


class _Plain(dict[int, int | None]):
    """Characters as `plain_words` reads them, each looked up when it first occurs."""

    def __missing__(self, code: int) -> int | None:
        kind = unicodedata.category(chr(code))
        accent = 0x300 <= code < 0x370
        plain = None if accent else _ZERO if kind == "Nd" else code if kind[0] in "LMN" else _SPACE
        self[code] = plain
        return plain


_PLAIN = _Plain()


def plain_words(folded: str) -> list[str]:
    """The words of a folded text without accents and punctuation, every digit as 0."""
    if not folded.isascii():
        folded = unicodedata.normalize("NFKD", folded)
    return folded.translate(_PLAIN).split()


@dataclass(frozen=True)
class Candidate:
    """A source and one target.

    Attributes:
        line: 1-based, in the input.
        has_columns: whether the source has several columns, separated by tabs.
    """

    line: int
    source: str
    target: str
    has_columns: bool = False

    @property
    def sides(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """The texts, and what messages call them."""
        return ("source", self.source), ("target", self.target)

    @cached_property
    def exact_key(self) -> tuple[str, str]:
        """Equal for pairs that differ only in case, spacing or Unicode form."""
        return fold(self.source), fold(self.target)

    @cached_property
    def words(self) -> tuple[list[str], list[str]]:
        """Plain words of both sides."""
        source, target = self.exact_key
        return plain_words(source), plain_words(target)

    @property
    def near_key(self) -> tuple[str, str]:
        """Equal for pairs of equal exact keys, and if accents, punctuation and digits differ.

        A text without letters is its own key, and so is a source of several columns, whose features
        may differ in a digit.
        """
        (source, target), exact = ("".join(words) for words in self.words), self.exact_key
        return (
            source if _has_letter(source) and not self.has_columns else exact[0],
            target if _has_letter(target) else exact[1],
        )


def _has_letter(text: str) -> bool:
    return any(map(str.isalpha, text))
