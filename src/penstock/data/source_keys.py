"""Normalized keys that identify a sentence, and a hash that is stable between runs."""

from __future__ import annotations

import hashlib
import heapq
import unicodedata
from collections.abc import Iterable

from penstock.data.pair import Pair


def fold(text: str) -> str:
    """Normalize case, spacing and Unicode form.

    `Go !` with a no-break space and `go !` with a space are the same sentence: with one in training
    and the other in the test set, data would leak.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.split()).casefold()


def stable_hash(text: str, seed: int) -> int:
    """A 64-bit hash of text and seed."""
    digest = hashlib.blake2b(text.encode(), digest_size=8, key=str(seed).encode()).digest()
    return int.from_bytes(digest, "big")


def source_key(pair: Pair, seed: int) -> int:
    """A hash of a pair's normalized source."""
    return stable_hash(fold(pair.source), seed)


def smallest_keys(pairs: Iterable[Pair], count: int, seed: int) -> list[int]:
    """The `count` smallest distinct source keys, ascending: a random sample of the sources."""
    heap: list[int] = []  # negated, so that the largest key kept is on top
    kept: set[int] = set()
    for pair in pairs:
        key = source_key(pair, seed)
        if key in kept or (len(heap) == count and key > -heap[0]):
            continue
        kept.add(key)
        if len(heap) < count:
            heapq.heappush(heap, -key)
        else:
            kept.discard(-heapq.heapreplace(heap, -key))
    return sorted(kept)
