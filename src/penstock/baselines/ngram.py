"""Interpolated modified Kneser-Ney: the n-gram language model that a neural one must beat.

With h the n-1 tokens before w, and h' the same without its first token (Chen and Goodman 1999,
https://doi.org/10.1006/csla.1999.0128):

    p(w | h) = (c(h w) - D(c(h w))) / Σ_v c(h v) + γ(h) p(w | h')
        γ(h) = Σ_v D(c(h v)) / Σ_v c(h v)

D is one of three discounts, for counts of 1, 2 and more. In the highest order c counts occurrences,
below it c counts the distinct tokens that precede h w. The recursion ends in 1 / V, so that
every id has a probability. A history that was never seen leaves all to its own h'.

An n-gram is one integer: the rank of its first n-1 tokens among the n-grams one order below, and
the rank of its last token. So every order is a sorted array, and all positions of a text are looked
up together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.errors import DataError, UsageError

Ids = Sequence[int] | NDArray[np.integer]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Discounts = tuple[float, float, float]

# where counts are too few to estimate from: KenLM's, halfway between nothing and everything
FALLBACK_DISCOUNTS: Discounts = (0.5, 1.0, 1.5)


@dataclass(frozen=True, slots=True, eq=False)
class _Order:
    """The n-grams of one order, G of them, and their histories, those of the order below.

    Attributes:
        keys: (G,) rank of the history times the number of types, plus rank of the last token;
            sorted. An n-gram's rank is its index here.
        log_probs: (G,) of the last token given the history, interpolated.
        log_backoffs: (histories,) log γ; zero where nothing follows it.
    """

    keys: Ints
    log_probs: Floats
    log_backoffs: Floats


@dataclass(frozen=True, slots=True, eq=False)
class KneserNey:
    """A fitted model, made by `KneserNey.fit`.

    Attributes:
        order: the longest n-grams; a token is predicted from `order` - 1 before it.
        vocab_size: V; ids are 0 to V - 1.
        discounts: per order from 1, for counts of 1, 2, and 3 or more; fewer than `order` where
            the training text is shorter.
    """

    order: int
    vocab_size: int
    discounts: tuple[Discounts, ...]
    _types: Ints  # the ids of the training text, sorted
    _orders: tuple[_Order, ...]

    @classmethod
    def fit(cls, ids: Ids, *, order: int, vocab_size: int) -> KneserNey:
        """Count the n-grams of a text and estimate the discounts of each order.

        The beginning of the text counts as one more token that can precede an n-gram.

        Args:
            ids: (N,) training text.
            order: 1 is a unigram model, 2 a bigram model.
            vocab_size: V, including ids absent from the training text.

        Raises:
            UsageError: an order or a vocabulary below 1, ids that are not a row of integers.
            DataError: no training text, or an id outside the vocabulary.
        """
        if order < 1:
            raise UsageError(f"order {order}: an n-gram has at least one token; give 1 or more")
        if vocab_size < 1:
            raise UsageError(f"vocab_size {vocab_size}: give the number of ids, 1 or more")
        tokens = _require_ids(ids, vocab_size)
        if not len(tokens):
            raise DataError("the training text has no tokens; an n-gram model needs at least one")
        types, last = np.unique(tokens, return_inverse=True)
        grams = _collect(last, min(order, len(tokens)))
        orders: list[_Order] = []
        discounts: list[Discounts] = []
        lower = np.full(1, 1 / vocab_size)
        histories = 1  # below the unigrams: the empty history
        for level, gram in enumerate(grams):
            above = grams[level + 1] if level + 1 < len(grams) else None
            counts = gram.occurrences if above is None else gram.predecessors(above)
            discounts.append(estimate_discounts(counts))
            discount = np.asarray((0.0, *discounts[-1]))[np.minimum(counts, 3)]
            history = gram.keys // len(types)
            total = np.bincount(history, counts, histories)
            given_away = np.bincount(history, discount, histories)
            backoff = np.divide(given_away, total, out=np.ones(histories), where=total > 0)
            lower = (counts - discount) / total[history] + backoff[history] * lower[gram.suffix]
            orders.append(_Order(gram.keys, np.log(lower), np.log(backoff)))
            histories = len(gram.keys)
        return cls(order, vocab_size, tuple(discounts), types, tuple(orders))

    def log_probabilities(self, ids: Ids) -> Floats:
        """Natural log of each token's probability, given the tokens before it in `ids`.

        The context is at most `order` - 1 tokens; the first token has none and gets its unigram
        probability.

        Args:
            ids: (N,); may be empty.

        Returns:
            (N,), all finite.

        Raises:
            UsageError: ids that are not a row of integers.
            DataError: an id outside the vocabulary.
        """
        tokens = _require_ids(ids, self.vocab_size)
        last = _ranks(self._types, tokens)
        history = np.zeros(len(tokens), np.int64)  # the rank of the empty one; -1: never seen
        log_probs = np.full(len(tokens), -math.log(self.vocab_size))
        for grams in self._orders:
            known = history >= 0
            log_probs[known] += grams.log_backoffs[history[known]]
            keys = np.where(known & (last >= 0), history * len(self._types) + last, -1)
            rank = _ranks(grams.keys, keys)
            seen = rank >= 0
            log_probs[seen] = grams.log_probs[rank[seen]]
            history[1:] = rank[:-1]  # what ends at a token is the next one's history
            history[:1] = -1
        return log_probs

    def perplexity(self, ids: Ids) -> float:
        """exp of the mean negative log-probability of a token.

        Raises:
            UsageError: ids that are not a row of integers.
            DataError: no tokens, or an id outside the vocabulary.
        """
        log_probs = self.log_probabilities(ids)
        if not len(log_probs):
            raise DataError("the text to score has no tokens; perplexity needs at least one")
        return float(np.exp(-log_probs.mean()))


def estimate_discounts(counts: Ints) -> Discounts:
    """Discounts for counts of 1, 2, and 3 or more, from how many n-grams have each count.

    They are the paper's estimates, with n_r the number of n-grams counted r times:
    Y = n₁ / (n₁ + 2 n₂) and D_r = r - (r + 1) Y n_{r+1} / n_r. Where one of n₁ to n₄ is zero, or an
    estimate is not above zero, all three are `FALLBACK_DISCOUNTS`: so D_r is always between 0 and
    r, nothing seen loses all of its count, and something is always left for the unseen.

    >>> estimate_discounts(np.array([1] * 8 + [2] * 4 + [3] * 2 + [4]))
    (0.5, 1.25, 2.0)
    >>> estimate_discounts(np.array([1, 1, 1]))
    (0.5, 1.0, 1.5)
    """
    n1, n2, n3, n4 = (int((counts == r).sum()) for r in (1, 2, 3, 4))
    if not min(n1, n2, n3, n4):
        return FALLBACK_DISCOUNTS
    y = n1 / (n1 + 2 * n2)
    found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return found if min(found) > 0 else FALLBACK_DISCOUNTS


@dataclass(frozen=True, slots=True, eq=False)
class _Grams:
    """The G distinct n-grams of one order in the training text.

    Attributes:
        keys: (G,) as in `_Order`.
        occurrences: (G,) their counts.
        suffix: (G,) rank, one order below, of the n-gram without its first token.
        first: rank of the n-gram that the text begins with.
    """

    keys: Ints
    occurrences: Ints
    suffix: Ints
    first: int

    def predecessors(self, above: _Grams) -> Ints:
        """(G,) numbers of distinct preceding tokens; the beginning of the text counts as one."""
        counts = np.bincount(above.suffix, minlength=len(self.keys))
        counts[self.first] += 1
        return counts


def _collect(last: Ints, order: int) -> list[_Grams]:
    """The n-grams of orders 1 to `order`; `last` is the text as ranks of types, (N,)."""
    types = int(last.max()) + 1
    collected: list[_Grams] = []
    below = np.zeros(len(last) + 1, np.int64)  # the empty n-gram before each token and at the end
    for n in range(1, order + 1):
        keys, at, ranks, occurrences = np.unique(
            below[:-1] * types + last[n - 1 :],
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        collected.append(_Grams(keys, occurrences, below[1:][at], int(ranks[0])))
        below = ranks
    return collected


def _ranks(keys: Ints, wanted: Ints) -> Ints:
    """The index of each wanted key in the sorted `keys`, -1 where absent."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)


def _require_ids(ids: Ids, vocab_size: int) -> Ints:
    """`ids` as (N,) int64, all of them within the vocabulary."""
    array = np.asarray(ids)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise UsageError(
            f"ids of shape {array.shape} and type {array.dtype}; "
            "give one row of integers, a token each"
        )
    outside = np.flatnonzero((array < 0) | (array >= vocab_size))
    if outside.size:
        raise DataError(
            f"id {array[outside[0]]} at position {outside[0]} is outside the vocabulary of "
            f"{vocab_size}; ids are 0 to {vocab_size - 1}"
        )
    return array.astype(np.int64)


BASELINES = {"unigram": 1, "bigram": 2, "5-gram": 5}
MAX_TOKENS = 5_000_000  # more training text changes a baseline little and costs memory


def baseline_perplexities(
    train: NDArray[np.integer], held_out: NDArray[np.integer], *, vocab_size: int
) -> dict[str, float]:
    """Perplexities of n-gram models on a text, for comparison with a neural model.

    Args:
        train: (N,) ids of the training text; only the last `MAX_TOKENS` are used.
        held_out: (M,) ids of which all but the first are scored, as a language model scores them.
        vocab_size: V.

    Returns:
        A perplexity for each of `BASELINES`.
    """
    recent = np.asarray(train[-MAX_TOKENS:])
    models = {
        n: KneserNey.fit(recent, order=k, vocab_size=vocab_size) for n, k in BASELINES.items()
    }
    return {
        name: math.exp(-float(model.log_probabilities(held_out)[1:].mean()))
        for name, model in models.items()
    }
