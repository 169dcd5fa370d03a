"""Held-out pairs from the training data: no source of theirs is left to learn from."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from penstock.data.pair import Pair
from penstock.data.source_keys import fold, stable_hash


def hold_out(read: Callable[[], Iterator[Pair]], count: int, seed: int) -> list[Pair]:
    """Up to `count` sources with the smallest hashes, with all their targets.

    At most one in ten different sources: to count them, ten times as many hashes are kept.
    """
    smallest: list[tuple[int, str]] = []  # a heap of negated hashes: the largest on top
    chosen: set[str] = set()
    for pair in read():
        key = fold(pair.source)
        if key in chosen:
            continue
        entry = (-stable_hash(key, seed), key)
        if len(smallest) < 10 * count:
            heapq.heappush(smallest, entry)
            chosen.add(key)
        elif entry > smallest[0]:
            _, dropped = heapq.heapreplace(smallest, entry)
            chosen.discard(dropped)
            chosen.add(key)
    keep = sorted(smallest, reverse=True)[: min(count, len(smallest) // 10)]
    wanted = {key for _, key in keep}
    return merge_references(pair for pair in read() if fold(pair.source) in wanted)


def rest_after(pairs: Iterator[Pair], first: int, count: int) -> list[Pair]:
    """Up to `count` pairs after the first ones, without the sources that occur in those."""
    seen = {fold(pair.source) for pair in islice(pairs, first)}
    unseen = (pair for pair in pairs if fold(pair.source) not in seen)
    return merge_references(islice(unseen, count))


def merge_references(pairs: Iterable[Pair]) -> list[Pair]:
    """One pair a source, with all its distinct targets, in order of first appearance."""
    targets: dict[str, dict[str, None]] = {}
    lines: dict[str, int] = {}
    for pair in pairs:
        lines.setdefault(pair.source, pair.line)
        targets.setdefault(pair.source, {}).update(dict.fromkeys(pair.targets))
    return [Pair(source, tuple(found), lines[source]) for source, found in targets.items()]
