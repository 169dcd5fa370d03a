"""Training pairs with invented stems, for few examples of words that change their form.

Anastasopoulos and Neubig 2019, 'Pushing the Limits of Low-Resource Morphological Inflection',
https://aclanthology.org/D19-1091: the stem is what a source and its target have in common; with
other letters in it the pair still shows how the form is made, and nothing is left to learn by
heart.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from itertools import islice

from penstock.data.pair import Pair
from penstock.text.input_columns import COLUMN_SEPARATOR

_MOST = 20_000  # pairs that others are made of
_SHORTEST = 3  # letters of a stem
_EXCHANGED = 0.5  # of the letters within a stem

Stem = tuple[int, int, int]  # where it begins in the source and in the target, and its length


def hallucinated_pairs(pairs: Iterable[Pair], ratio: float, seed: int) -> Iterator[Pair]:
    """Invent pairs like the given ones; where none has a stem, nothing.

    Args:
        pairs: the examples; the first 20,000 are taken.
        ratio: pairs to invent for each.
        seed: of their letters.
    """
    draw = random.Random(seed)
    examples = [
        (pair, stem) for pair in islice(pairs, _MOST) if (stem := find_stem(pair)) is not None
    ]
    letters = sorted(
        {c for pair, (_, at, size) in examples for c in pair.target[at : at + size] if c.isalpha()}
    )
    whole, part = divmod(ratio, 1)
    for again in range(int(whole) + 1):
        for pair, stem in examples:
            if again < whole or draw.random() < part:
                yield _with_other_stem(pair, stem, letters, draw)


def find_stem(pair: Pair) -> Stem | None:
    """The longest text that a column of the source and the target share, if it is long enough."""
    found: Stem = (0, 0, 0)
    begin = 0
    for cell in pair.source.split(COLUMN_SEPARATOR):
        match = SequenceMatcher(None, cell, pair.target, autojunk=False).find_longest_match()
        if match.size > found[2]:
            found = (begin + match.a, match.b, match.size)
        begin += len(cell) + 1
    return found if found[2] >= _SHORTEST else None


def _with_other_stem(pair: Pair, stem: Stem, letters: list[str], draw: random.Random) -> Pair:
    """The pair with other letters in the stem; one beside what changes stays, as it may decide."""
    source, target, size = stem
    new = list(pair.target[target : target + size])
    has_prefix, has_suffix = target > 0, target + size < len(pair.target)
    for i in range(has_prefix, size - has_suffix):
        if new[i].isalpha() and draw.random() < _EXCHANGED:
            new[i] = draw.choice(letters)
    text = "".join(new)
    return Pair(
        pair.source[:source] + text + pair.source[source + size :],
        (pair.target[:target] + text + pair.target[target + size :],),
        pair.line,
    )
