"""Kneser-Ney against a slow dictionary implementation, written from the paper's equations."""

from __future__ import annotations

import doctest
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.baselines import ngram
from penstock.baselines.ngram import FALLBACK_DISCOUNTS, KneserNey, estimate_discounts
from penstock.errors import DataError, UsageError

Gram = tuple[int, ...]


class SlowKneserNey:
    """Interpolated modified Kneser-Ney, term by term as Chen and Goodman (1999) define it."""

    def __init__(self, ids: list[int], order: int, vocab_size: int) -> None:
        self.order, self.vocab_size = order, vocab_size
        self.counts: dict[int, Counter[Gram]] = {}
        for n in range(1, order + 1):
            grams = [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)]
            if n == order:
                self.counts[n] = Counter(grams)
                continue
            before: defaultdict[Gram, set[int | None]] = defaultdict(set)  # None: the beginning
            for i, gram in enumerate(grams):
                before[gram].add(ids[i - 1] if i else None)
            self.counts[n] = Counter({gram: len(tokens) for gram, tokens in before.items()})

    def discount(self, n: int, count: int) -> float:
        if count == 0:
            return 0.0
        of = Counter(self.counts[n].values())
        if not all(of[r] for r in (1, 2, 3, 4)):
            return FALLBACK_DISCOUNTS[min(count, 3) - 1]
        y = of[1] / (of[1] + 2 * of[2])
        found = [r - (r + 1) * y * of[r + 1] / of[r] for r in (1, 2, 3)]
        return (found if min(found) > 0 else FALLBACK_DISCOUNTS)[min(count, 3) - 1]

    def probability(self, token: int, history: Gram) -> float:
        n = len(history) + 1
        lower = self.probability(token, history[1:]) if history else 1 / self.vocab_size
        followers = [self.counts[n][(*history, v)] for v in range(self.vocab_size)]
        total = sum(followers)
        if not total:
            return lower
        gamma = sum(self.discount(n, count) for count in followers) / total
        count = followers[token]
        return (count - self.discount(n, count)) / total + gamma * lower

    def log_probabilities(self, ids: list[int]) -> list[float]:
        width = self.order - 1
        histories = [tuple(ids[max(0, i - width) : i]) for i in range(len(ids))]
        pairs = zip(ids, histories, strict=True)
        return [math.log(self.probability(token, history)) for token, history in pairs]


def repetitive_text(length: int, vocab_size: int, seed: int) -> list[int]:
    """A random text in which every count from 1 to 4 occurs in most orders."""
    rng = np.random.default_rng(seed)
    return rng.choice(vocab_size, length, p=rng.dirichlet(np.full(vocab_size, 0.5))).tolist()


texts = st.lists(st.integers(0, 4), max_size=40)
training_texts = st.lists(st.integers(0, 4), min_size=1, max_size=60)


@settings(deadline=None)
@given(training_texts, texts, st.integers(1, 5))
def test_equals_the_papers_equations_on_any_text(
    training: list[int], text: list[int], order: int
) -> None:
    fast = KneserNey.fit(training, order=order, vocab_size=5)
    slow = SlowKneserNey(training, order, 5)
    np.testing.assert_allclose(
        fast.log_probabilities(text), slow.log_probabilities(text), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_equals_the_papers_equations_with_estimated_discounts(order: int) -> None:
    training, text = repetitive_text(800, 12, seed=1), repetitive_text(60, 14, seed=2)
    fast = KneserNey.fit(training, order=order, vocab_size=14)
    slow = SlowKneserNey(training, order, 14)
    estimated = [found for found in fast.discounts if found != FALLBACK_DISCOUNTS]
    assert len(estimated) >= order - 1  # the case that this test is for
    np.testing.assert_allclose(
        fast.log_probabilities(text), slow.log_probabilities(text), rtol=1e-9, atol=1e-12
    )


@settings(deadline=None)
@given(training_texts, st.lists(st.integers(0, 6), max_size=5), st.integers(1, 5))
def test_sums_to_one_after_any_history(training: list[int], history: list[int], order: int) -> None:
    model = KneserNey.fit(training, order=order, vocab_size=7)  # 5 and 6 are never seen
    last = [model.log_probabilities([*history, token])[-1] for token in range(7)]
    assert math.fsum(map(math.exp, last)) == pytest.approx(1, abs=1e-12)


def test_order_one_discounts_counts_and_ignores_history() -> None:
    model = KneserNey.fit([0, 0, 0, 1, 1, 2], order=1, vocab_size=4)
    assert model.discounts == (FALLBACK_DISCOUNTS,)
    given_away = (1.5 + 1.0 + 0.5) / 6
    expected = [(3 - 1.5) / 6, (2 - 1.0) / 6, (1 - 0.5) / 6, 0.0]
    expected = [probability + given_away / 4 for probability in expected]
    np.testing.assert_allclose(np.exp(model.log_probabilities([0, 1, 2, 3])), expected)
    np.testing.assert_allclose(np.exp(model.log_probabilities([3, 2, 1, 0])), expected[::-1])


def test_a_history_never_seen_leaves_all_to_the_shorter_one() -> None:
    training = repetitive_text(400, 6, seed=3)
    model = KneserNey.fit(training, order=3, vocab_size=8)
    for token in range(8):
        after_unseen = model.log_probabilities([7, token])[-1]
        assert after_unseen == model.log_probabilities([token])[-1]
        after_half_seen = model.log_probabilities([7, training[0], token])[-1]
        assert after_half_seen == model.log_probabilities([training[0], token])[-1]


def test_the_lower_orders_count_what_stands_before_not_how_often() -> None:
    """The point of Kneser-Ney: 1 is frequent, but only after 0; 2 is rarer, but after many."""
    training = [0, 1] * 20 + [3, 2, 4, 2, 5, 2, 6, 2]
    model = KneserNey.fit(training, order=2, vocab_size=8)
    after_unseen_1, after_unseen_2 = (model.log_probabilities([7, w])[-1] for w in (1, 2))
    assert after_unseen_2 > after_unseen_1 + math.log(2)


def test_looks_at_no_more_than_the_order() -> None:
    training = repetitive_text(300, 4, seed=4)
    model = KneserNey.fit(training, order=3, vocab_size=4)
    text = repetitive_text(50, 4, seed=5)
    np.testing.assert_array_equal(
        model.log_probabilities(text)[2:], model.log_probabilities([3, *text])[3:]
    )


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_text_shorter_than_the_order_is_fitted_as_far_as_it_goes(length: int) -> None:
    training = [2, 0, 2][:length]
    model = KneserNey.fit(training, order=50, vocab_size=3)
    shorter = KneserNey.fit(training, order=length, vocab_size=3)
    assert len(model.discounts) == length
    text = [0, 1, 2, 0, 2, 2]
    np.testing.assert_array_equal(model.log_probabilities(text), shorter.log_probabilities(text))


def test_many_ids_and_a_long_order_stay_finite() -> None:
    model = KneserNey.fit([2**31, 5] * 1500, order=2500, vocab_size=2**40)
    log_probs = model.log_probabilities([2**31, 5] * 1400 + [2**39, 7])
    assert np.isfinite(log_probs).all()
    assert math.exp(log_probs[1:2800].mean()) > 0.9  # learnt by heart


def test_perplexity_is_exp_of_the_mean() -> None:
    training = repetitive_text(300, 5, seed=6)
    model = KneserNey.fit(np.array(training, np.uint8), order=3, vocab_size=6)
    text = repetitive_text(80, 6, seed=7)
    mean = math.fsum(model.log_probabilities(text)) / 80
    assert model.perplexity(text) == pytest.approx(math.exp(-mean))
    assert KneserNey.fit([0], order=1, vocab_size=1).perplexity([0, 0]) == pytest.approx(1)


def test_no_tokens_have_no_probabilities() -> None:
    assert KneserNey.fit([0, 1], order=2, vocab_size=2).log_probabilities([]).shape == (0,)


@settings(deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=200))
def test_discounts_leave_something_of_every_count_and_for_the_unseen(counts: list[int]) -> None:
    found = estimate_discounts(np.array(counts))
    assert all(0 < discount < r for r, discount in enumerate(found, start=1))


def test_examples_of_the_docstrings() -> None:
    assert doctest.testmod(ngram).failed == 0


def test_discounts_that_would_be_negative_fall_back() -> None:
    counts = np.array([1] * 10 + [2] + [3] * 10 + [4])  # D₂ = 2 - 3 · 10/12 · 10/1
    assert estimate_discounts(counts) == FALLBACK_DISCOUNTS


def test_bad_input_is_refused_with_place_value_and_remedy() -> None:
    with pytest.raises(UsageError, match="order 0: an n-gram has at least one token; give 1"):
        KneserNey.fit([0], order=0, vocab_size=1)
    with pytest.raises(UsageError, match="vocab_size 0: give the number of ids"):
        KneserNey.fit([], order=1, vocab_size=0)
    with pytest.raises(DataError, match="training text has no tokens"):
        KneserNey.fit([], order=1, vocab_size=3)
    for wrong in ([0, 1, 3, 9], [0, 2, -1]):
        position = 2
        message = f"id {wrong[2]} at position {position} is outside the vocabulary of 3; .* 0 to 2"
        with pytest.raises(DataError, match=message):
            KneserNey.fit(wrong, order=2, vocab_size=3)
    model = KneserNey.fit([0, 1, 2], order=2, vocab_size=3)
    with pytest.raises(DataError, match="id 3 at position 1 is outside"):
        model.log_probabilities([0, 3])
    with pytest.raises(DataError, match="text to score has no tokens"):
        model.perplexity([])
    with pytest.raises(UsageError, match=r"shape \(1, 2\) and type int64; give one row"):
        model.log_probabilities(np.array([[0, 1]]))
    with pytest.raises(UsageError, match=r"type float64; give one row of integers"):
        model.log_probabilities(np.array([0.0, 1.0]))
