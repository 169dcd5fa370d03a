"""Sampling the grammar: distinct pairs, an endless stream, and a split that does not leak."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from penstock.data.grammar.clauses import Draw, Text
from penstock.data.grammar.sentences import sentence
from penstock.data.pair import Pair
from penstock.errors import UsageError

# 3 to 16 English words, counted by their spaces
_MIN_SPACES, _MAX_SPACES = 2, 15
# the grammar is exhausted, for practical purposes, after so many repetitions in a row
_PATIENCE = 20_000


@dataclass(frozen=True)
class Split:
    """Training, validation and test pairs; no source or target of one part occurs in another."""

    train: list[Pair]
    valid: list[Pair]
    test: list[Pair]


def _texts(draw: Draw) -> Iterator[Text]:
    while True:
        en, fr = sentence(draw)
        if _MIN_SPACES <= en.count(" ") <= _MAX_SPACES:
            yield en, fr


def stream_pairs(*, seed: int = 1) -> Iterator[Pair]:
    """An endless stream in constant memory; pairs may repeat. Lines count from 1."""
    for line, (en, fr) in enumerate(_texts(Random(seed).random), start=1):
        yield Pair(en, (fr,), line)


def generate_pairs(count: int, *, seed: int = 1) -> list[Pair]:
    """`count` pairs with distinct sources, the same for a seed on every machine.

    Raises:
        UsageError: `count` is negative, or more than the grammar can be expected to give.
    """
    if count < 0:
        raise UsageError(f"generate_pairs: count is {count}; give 0 or more")
    return _draw_distinct(_texts(Random(seed).random), count, excluded=set(), unique_targets=False)


def builtin_split(
    *, train: int = 30_000, valid: int = 1_000, test: int = 1_000, seed: int = 1
) -> Split:
    """The built-in corpus, split so that nothing held out occurs in training, on either side.

    Raises:
        UsageError: a size is negative, or more than the grammar can be expected to give.
    """
    for part, size in (("train", train), ("valid", valid), ("test", test)):
        if size < 0:
            raise UsageError(f"builtin_split: {part} is {size}; give 0 or more")
    texts = _texts(Random(seed).random)
    held_out: set[str] = set()
    test_pairs = _draw_distinct(texts, test, excluded=held_out, unique_targets=True)
    held_out.update(pair.target for pair in test_pairs)
    valid_pairs = _draw_distinct(texts, valid, excluded=held_out, unique_targets=True)
    held_out.update(pair.target for pair in valid_pairs)
    train_pairs = _draw_distinct(texts, train, excluded=held_out, unique_targets=False)
    return Split(train_pairs, valid_pairs, test_pairs)


def _draw_distinct(
    texts: Iterator[Text], count: int, *, excluded: set[str], unique_targets: bool
) -> list[Pair]:
    """Distinct pairs whose targets are not excluded.

    The target is a function of the source, so a source cannot recur where its target does not.
    """
    pairs: list[Pair] = []
    sources: set[str] = set()
    targets: set[str] = set()
    misses = 0
    while len(pairs) < count:
        en, fr = next(texts)
        if en in sources or fr in excluded or (unique_targets and fr in targets):
            misses += 1
            if misses > _PATIENCE:
                raise UsageError(
                    f"the built-in grammar gave only {len(pairs)} distinct pairs of {count}; "
                    "ask for fewer"
                )
            continue
        misses = 0
        sources.add(en)
        if unique_targets:
            targets.add(fr)
        pairs.append(Pair(en, (fr,), len(pairs) + 1))
    return pairs
