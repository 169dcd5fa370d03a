"""Held-out pairs from the training data, whose sources are excluded from training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from penstock.data.pair import Pair
from penstock.data.source_keys import fold, smallest_keys, source_key


def hold_out(read: Callable[[], Iterator[Pair]], count: int, seed: int) -> list[Pair]:
    """Hold out up to `count` sources, at most one in ten, with all their targets."""
    keys = smallest_keys(read(), 10 * count, seed)  # enough to know what one in ten is
    wanted = set(keys[: min(count, len(keys) // 10)])
    return merge_references(pair for pair in read() if source_key(pair, seed) in wanted)


def pairs_after(pairs: Iterator[Pair], first: int, count: int) -> list[Pair]:
    """Up to `count` pairs after the first ones, without sources that occur among those."""
    seen = {fold(pair.source) for pair in islice(pairs, first)}
    unseen = (pair for pair in pairs if fold(pair.source) not in seen)
    return merge_references(islice(unseen, count))


def merge_references(pairs: Iterable[Pair]) -> list[Pair]:
    """One pair per source, with all its distinct targets, in order of first appearance."""
    targets: dict[str, dict[str, None]] = {}
    lines: dict[str, int] = {}
    for pair in pairs:
        lines.setdefault(pair.source, pair.line)
        targets.setdefault(pair.source, {}).update(dict.fromkeys(pair.targets))
    return [Pair(source, tuple(found), lines[source]) for source, found in targets.items()]
