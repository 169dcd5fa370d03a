"""What a file of pairs looks like: size, lengths, scripts, symbols, likeness of the two sides.

The automatic settings (`penstock.training.automatic`) are chosen from it. Everything but the number
of pairs is measured on a sample spread evenly over the file.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from penstock.data.pair import Pair

SAMPLE = 10_000  # pairs; more move no figure that a rule asks for
_SAMPLE_CHARACTERS = 2_000_000  # of long texts fewer are enough
_COMPARED, _COMPARED_CHARACTERS = 200, 200  # comparing two texts costs their lengths' product

# letters per word, about, in scripts that put no spaces between words
_LETTERS_PER_WORD = {
    "CJK": 1.7, "HIRAGANA": 2.0, "KATAKANA": 4.0, "THAI": 4.0, "LAO": 4.0, "KHMER": 4.0,
    "MYANMAR": 4.0, "TIBETAN": 4.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SideProfile:
    """One side of the pairs.

    Attributes:
        characters: mean length of a text.
        words: mean number of words; estimated in scripts without spaces.
        symbols: mean number of symbols, if texts are symbols separated by spaces, such as phones.
        script: the script of most letters, such as `Latin`.
        spaced: whether that script puts spaces between words.
        distinct: different texts in the sample.
    """

    characters: float
    words: float
    symbols: float | None
    script: str
    spaced: bool
    distinct: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A file of pairs.

    Attributes:
        pairs: number of pairs.
        sampled: how many of them the other figures come from.
        source, target: the two sides.
        likeness: how much of a pair's two texts is the same letters in the same order, case and
            accents aside, from 0 to 1.
        copied: share of the target's words that the pair's source has too.
        growth: how long targets get for their sources, all but one in a hundred, by what is counted
            of source and target: `characters` or `words`, symbols among them.
    """

    pairs: int
    sampled: int
    source: SideProfile
    target: SideProfile
    likeness: float
    copied: float
    growth: Mapping[tuple[str, str], float]


def profile_pairs(pairs: Iterable[Pair]) -> Profile | None:
    """Measure a stream of pairs; None if there are none."""
    count, sample = _even_sample(pairs)
    if not sample:
        return None
    sources, targets = zip(*sample, strict=True)
    stride = -(-len(sample) // _COMPARED)
    return Profile(
        pairs=count,
        sampled=len(sample),
        source=_side(sources),
        target=_side(targets),
        likeness=_mean(_likeness(source, target) for source, target in sample[::stride]),
        copied=_copied(sample),
        growth={
            (a, b): _high(count_b(target) / count_a(source) for source, target in sample)
            for a, count_a in _COUNTS.items()
            for b, count_b in _COUNTS.items()
        },
    )


def _even_sample(pairs: Iterable[Pair]) -> tuple[int, list[tuple[str, str]]]:
    """The number of pairs, and up to `SAMPLE` of them at equal distances."""
    sample: list[tuple[str, str]] = []
    count, stride, size = 0, 1, 0
    for pair in pairs:
        for target in pair.targets:
            if count % stride == 0:
                sample.append((pair.source, target))
                size += len(pair.source) + len(target)
            count += 1
            if len(sample) == 2 * SAMPLE or size > 2 * _SAMPLE_CHARACTERS:
                sample, stride, size = sample[::2], 2 * stride, size // 2
    return count, sample[:: -(-len(sample) // SAMPLE) or 1]


def _side(texts: tuple[str, ...]) -> SideProfile:
    scripts: Counter[str] = Counter()
    for text in texts:
        scripts.update(filter(None, map(_script, text[:_COMPARED_CHARACTERS])))
    script = scripts.most_common(1)[0][0] if scripts else ""
    return SideProfile(
        characters=_mean(map(len, texts)),
        words=_mean(map(_words, texts)),
        symbols=_symbols(texts),
        script="Chinese" if script == "CJK" else script.capitalize(),
        spaced=script not in _LETTERS_PER_WORD,
        distinct=len(set(texts)),
    )


@lru_cache(maxsize=100_000)
def _script(character: str) -> str:
    """The script of a letter in Unicode's words, empty for anything else."""
    return unicodedata.name(character, "").split(" ")[0] if character.isalpha() else ""


def _words(text: str) -> float:
    """The number of words, at least 1."""
    unspaced = sum(1 / _LETTERS_PER_WORD.get(_script(c), float("inf")) for c in text)
    return max(len(text.split()), unspaced, 1)


_COUNTS: dict[str, Callable[[str], float]] = {"characters": len, "words": _words}


def _high(values: Iterable[float]) -> float:
    """The 99th percentile."""
    ordered = sorted(values)
    return ordered[len(ordered) * 99 // 100]


def _symbols(texts: tuple[str, ...]) -> float | None:
    """Mean number of symbols per text if the texts are short symbols separated by spaces."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text.split())
    total = counts.total()
    if total < 2 * len(texts):
        return None
    letters = sum(_base_letters(token) * n for token, n in counts.items()) / total
    numbers = sum(n for token, n in counts.items() if token.isdecimal() and len(token) > 1)
    is_inventory = letters <= 1.1 or (letters <= 2.5 and len(counts) <= 0.1 * total)
    return total / len(texts) if is_inventory and numbers <= 0.1 * total else None


def _base_letters(text: str) -> int:
    """Length without combining and modifier characters: 1 for a phone such as t̪ʰ."""
    return sum(unicodedata.category(c) not in ("Mn", "Mc", "Me", "Lm", "Sk") for c in text) or 1


def _likeness(source: str, target: str) -> float:
    a, b = (_plain(text[:_COMPARED_CHARACTERS]) for text in (source, target))
    return SequenceMatcher(None, a, b, autojunk=False).ratio()


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text.casefold())
    return "".join(c for c in decomposed if unicodedata.category(c) != "Mn")


def _copied(sample: list[tuple[str, str]]) -> float:
    copied = total = 0
    for source, target in sample:
        words = {word for word in source.casefold().split() if len(word) > 1}
        found = [word for word in target.casefold().split() if len(word) > 1]
        copied += sum(word in words for word in found)
        total += len(found)
    return copied / max(total, 1)


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / max(len(listed), 1)
