"""The filters, in the order in which a pair meets them; the first that finds something decides."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from penstock.data.filters.candidate import Candidate
from penstock.data.filters.filter_options import FilterOptions
from penstock.data.source_keys import fold
from penstock.text.language_detection import LanguageCheck
from penstock.text.mojibake import find_mojibake

LENGTH_OFFSET = 5  # a character more or less means little in very short texts

# controls but tab and line ends, private use, U+FFFD, and code points that are no characters
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ue000-\uf8ff\ufdd0-\ufdef\ufffd-\uffff"
    "\U000f0000-\U0010ffff]"
)


@dataclass(frozen=True)
class Bounds:
    """What filters compare with.

    Attributes:
        options: the user's.
        usual_ratio: of a target's length to its source's, in this corpus.
    """

    options: FilterOptions
    usual_ratio: float = 1.0

    @cached_property
    def languages(self) -> tuple[LanguageCheck | None, LanguageCheck | None]:
        """How to tell the expected languages of both sides."""
        source, _, target = (self.options.languages or ",").partition(",")
        return _check(source), _check(target)


Find = Callable[[Candidate, Bounds], str]


def _check(language: str) -> LanguageCheck | None:
    return LanguageCheck(language) if language else None


@dataclass(frozen=True)
class Filter:
    """One filter.

    Attributes:
        name: in reports, and for `--without`.
        bounds: its options in `FilterOptions`.
        finds: what goes out.
        find: what is wrong with a pair, for people, or an empty text. None: the filter does not
            look at one pair alone, `clean.py` applies it.
        needs: the option without which it is off.
    """

    name: str
    bounds: tuple[str, ...]
    finds: str
    find: Find | None = None
    needs: str | None = None


def length_ratio(source: str, target: str) -> float:
    """How many times as long as its source a target is."""
    return (len(target) + LENGTH_OFFSET) / (len(source) + LENGTH_OFFSET)


def _length(pair: Candidate, bounds: Bounds) -> str:
    least, most = bounds.options.min_length, bounds.options.max_length
    for side, text in pair.sides:
        if not least <= len(text) <= most:
            return f"{side}: {len(text):,} characters"
    return ""


def _characters(pair: Candidate, bounds: Bounds) -> str:
    for side, text in pair.sides:
        if not text.isascii() or not text.isprintable():
            found = _UNPRINTABLE.search(text)
            if found:
                return f"{side}: U+{ord(found[0]):04X} at character {found.start() + 1}"
    return ""


def _mojibake(pair: Candidate, bounds: Bounds) -> str:
    for side, text in pair.sides:
        if found := find_mojibake(text):
            return f"{side}: {found[0]} for {found[1]}"
    return ""


def _letters(pair: Candidate, bounds: Bounds) -> str:
    for side, text in pair.sides:
        written = "".join(text.split())
        letters = sum(map(str.isalpha, written))
        if not text.isascii():
            letters += sum(unicodedata.category(character)[0] == "M" for character in written)
        if letters < bounds.options.min_letters * len(written):
            return f"{side}: {letters / len(written):.0%} letters"
    return ""


def _ratio(pair: Candidate, bounds: Bounds) -> str:
    ratio = length_ratio(pair.source, pair.target) / bounds.usual_ratio
    if 1 / bounds.options.max_ratio <= ratio <= bounds.options.max_ratio:
        return ""
    times, what = (ratio, "long") if ratio > 1 else (1 / ratio, "short")
    return f"target: {times:.1f} times as {what} as usual"


def _copy(pair: Candidate, bounds: Bounds) -> str:
    source, target = pair.words
    longer = max(len(source), len(target))
    if not longer:
        return "the same on both sides" if fold(pair.source) == fold(pair.target) else ""
    if set(source).isdisjoint(target):
        return ""
    shared = sum((Counter(source) & Counter(target)).values())
    if shared < bounds.options.max_copied * longer:
        return ""
    return f"{shared} of {longer} words on both sides"


def _language(pair: Candidate, bounds: Bounds) -> str:
    for (side, text), check in zip(pair.sides, bounds.languages, strict=True):
        if check is not None:
            likeliest, share = check.compare(text)
            if share < bounds.options.min_language:
                return f"{side}: looks like {likeliest}"
    return ""


UNUSABLE, DUPLICATE, NEAR, SCORE = "unusable", "duplicate", "near-duplicate", "score"

FILTERS: dict[str, Filter] = {
    each.name: each
    for each in (
        Filter(UNUSABLE, (), "lines that cannot be read: no target, a wrong encoding, a NUL"),
        Filter("length", ("min_length", "max_length"), "too short or too long a side", _length),
        Filter("mojibake", (), "UTF-8 that was read as Windows-1252: Ã© for é", _mojibake),
        Filter(
            "characters", (), "control characters, U+FFFD and private-use characters", _characters
        ),
        Filter("letters", ("min_letters",), "a side of numbers and symbols", _letters),
        Filter("ratio", ("max_ratio",), "an unusual ratio of lengths", _ratio),
        Filter("copy", ("max_copied",), "a target that copies its source", _copy),
        Filter(
            "language", ("languages", "min_language"), "another language", _language, "languages"
        ),
        Filter(DUPLICATE, (), "a pair that came before, but for case, spacing and Unicode form"),
        Filter(NEAR, (), "a pair that came before, but for accents, punctuation and digits"),
        Filter(SCORE, ("min_score",), "a pair that a model finds unlikely", needs="min_score"),
    )
}
