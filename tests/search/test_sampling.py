"""Sampling: frequencies against probabilities, draws against their company."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import UsageError
from penstock.search import Hypothesis, Limits, greedy_search, sample_search, shape
from table_model import (
    TABLE_BOS,
    TABLE_EOS,
    Table,
    enumerate_all,
    make_table,
    normalized,
    table_limits,
)

# --- shaping ------------------------------------------------------------------------------------


def distributions() -> st.SearchStrategy[list[float]]:
    return st.lists(st.integers(0, 6), min_size=2, max_size=9).map(lambda x: [v / 2 for v in x])


def keep_by_hand(logits: list[float], top_k: int | None, top_p: float | None) -> list[int]:
    """Ids that stay, by the definition, one at a time."""
    ranked = sorted(range(len(logits)), key=lambda i: (-logits[i], i))[:top_k]
    total = sum(math.exp(logits[i]) for i in ranked)
    kept, mass = [], 0.0
    for i in ranked:
        if top_p is not None and mass >= top_p:
            break
        kept.append(i)
        mass += math.exp(logits[i]) / total
    return sorted(kept)


@settings(max_examples=200, deadline=None)
@given(
    logits=distributions(),
    temperature=st.sampled_from([0.5, 1.0, 3.0]),
    top_k=st.none() | st.integers(1, 10),
    top_p=st.none() | st.sampled_from([0.05, 0.333, 0.71, 0.95, 1.0]),
)
def test_shaping_keeps_what_the_definition_keeps(
    logits: list[float], temperature: float, top_k: int | None, top_p: float | None
) -> None:
    rows = np.array([logits])
    [shaped] = shape(rows, temperature=temperature, top_k=top_k, top_p=top_p)
    kept = np.flatnonzero(shaped > -math.inf).tolist()
    hot = [value / temperature for value in logits]
    assert kept == keep_by_hand(hot, top_k, None if top_p == 1 else top_p)
    assert np.exp(shaped).sum() == pytest.approx(1, abs=1e-5)
    for i in kept:  # their ratios are the distribution's
        ratio = (shaped[i] - shaped[kept[0]]).item()
        assert ratio == pytest.approx(hot[i] - hot[kept[0]], abs=1e-5)


def test_shaping_leaves_the_impossible_impossible() -> None:
    rows = np.array([[0.0, -math.inf, 1.0], [-math.inf, -math.inf, 0.0]])
    for options in ({}, {"top_k": 3}, {"top_p": 0.999}, {"temperature": 100.0}):
        shaped = shape(rows, **options)  # pyright: ignore[reportArgumentType]
        assert (shaped == -math.inf).tolist() == [[False, True, False], [True, True, False]]


def test_ties_stay_by_id_whatever_the_row_shares_its_batch_with() -> None:
    tied = np.zeros((1, 50))
    for company in (0, 1, 7, 64):
        rows = np.concatenate([np.random.default_rng(1).standard_normal((company, 50)), tied])
        kept = shape(rows, top_k=3)[-1] > -math.inf
        assert np.flatnonzero(kept).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"temperature": 0.0}, "temperature 0.0: must be a number above 0"),
        ({"temperature": math.nan}, "temperature nan"),
        ({"temperature": math.inf}, "temperature inf"),
        ({"top_k": 0}, "top_k 0: must be at least 1"),
        ({"top_p": 0.0}, "top_p 0.0: must be above 0 and at most 1"),
        ({"top_p": 1.5}, "top_p 1.5"),
    ],
)
def test_impossible_shapes(options: dict[str, float], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        shape(np.zeros((1, 3)), **options)  # pyright: ignore[reportArgumentType]


# --- sampling -----------------------------------------------------------------------------------


def chi_square_bound(freedom: int, normal_quantile: float) -> float:
    """The quantile of chi-square (Wilson and Hilferty 1931)."""
    third = 2 / (9 * freedom)
    return freedom * (1 - third + normal_quantile * math.sqrt(third)) ** 3


@pytest.mark.parametrize("options", [{}, {"temperature": 0.6}, {"top_k": 2}, {"top_p": 0.8}])
def test_frequencies_agree_with_probabilities(options: dict[str, float]) -> None:
    """Pearson's chi-square over whole outputs; false alarm in one of 10,000 seeds (fixed here)."""
    step, state, table = make_table(sentences=1, vocab_size=5, seed=5)
    table /= 2  # flatter: many outputs are frequent enough to count
    limits = table_limits([3])
    draws = 4000
    [found] = sample_search(step, state, limits, samples=draws, seed=11, **options)  # pyright: ignore
    counts = Counter(tuple(h.tokens) for h in found)
    expected = {
        tuple(tokens): draws * probability(table, tokens, options)
        for _, tokens in enumerate_all(table, 0, limits, 0.0)
    }
    assert sum(expected.values()) == pytest.approx(draws)
    assert all(expected[tokens] > 0 for tokens in counts)
    # cells that expect fewer than five draws are taken together, as the test wants it
    rare = [tokens for tokens, mean in expected.items() if mean < 5]
    cells = [(counts[t], mean) for t, mean in expected.items() if mean >= 5]
    if sum(expected[t] for t in rare) > 1:
        cells.append((sum(counts[t] for t in rare), sum(expected[t] for t in rare)))
    statistic = sum((n - mean) ** 2 / mean for n, mean in cells)
    assert len(cells) >= 4
    assert statistic < chi_square_bound(len(cells) - 1, normal_quantile=3.719)


def probability(table: Table, tokens: list[int], options: dict[str, float]) -> float:
    """Of the tokens and EOS under shaped steps, by the chain rule; at the limit EOS is certain."""
    total, before, last = 1.0, 0, TABLE_BOS
    for position, token in enumerate([*tokens, TABLE_EOS]):
        if position == 3:
            break
        logits = normalized(table[0, before, last])
        logits[TABLE_BOS] = -math.inf
        shaped = shape(logits[None], **options)[0]  # pyright: ignore[reportArgumentType]
        total *= math.exp(shaped[token])
        before, last = last, token
    return total


def values(hypothesis: Hypothesis) -> tuple[object, ...]:
    return hypothesis.tokens, hypothesis.token_log_probabilities, hypothesis.finished


def test_a_draw_does_not_depend_on_its_company() -> None:
    step, state, _ = make_table(sentences=5, vocab_size=6, seed=3)
    names = ["a", "b", "c", "d", "e"]
    together = sample_search(step, state, table_limits([8] * 5), samples=4, seed=9, keys=names)
    for order in ([0], [4, 2], [3, 1, 0, 2, 4]):
        rows = np.array(order)
        some = sample_search(
            step,
            state.select(rows),
            table_limits([8] * len(order)),
            samples=3,
            seed=9,
            keys=[names[i] for i in order],
        )
        for i, draws in zip(order, some, strict=True):
            assert [values(h) for h in draws] == [values(h) for h in together[i][:3]]


def test_seeds_sentences_and_draws_have_streams_of_their_own() -> None:
    step, state, table = make_table(sentences=2, vocab_size=6, seed=3)
    table[1] = table[0]  # two sentences that the model cannot tell apart
    limits = Limits(TABLE_BOS, TABLE_EOS, (TABLE_BOS,), [12, 12])
    one = sample_search(step, state, limits, samples=9, seed=1)
    assert one == sample_search(step, state, limits, samples=9, seed=1)
    assert one != sample_search(step, state, limits, samples=9, seed=2)
    assert one[0] != one[1]
    assert len({tuple(h.tokens) for h in one[0]}) > 3


def test_a_cold_sample_is_greedy_and_scores_are_the_models_own() -> None:
    step, state, _ = make_table(sentences=3, vocab_size=6, seed=4)
    limits = table_limits([7, 2, 0])
    greedy = greedy_search(step, state, limits, align=True)
    for options in ({"temperature": 1e-6}, {"top_k": 1}, {"top_p": 1e-9}):
        cold = sample_search(step, state, limits, align=True, **options)  # pyright: ignore
        for [h], g in zip(cold, greedy, strict=True):
            assert (h.tokens, h.score, h.finished) == (g.tokens, g.score, g.finished)
            assert h.token_log_probabilities == g.token_log_probabilities
            assert (h.alignment is None) == (g.alignment is None)
            assert (
                h.alignment is None
                or g.alignment is None
                or np.array_equal(h.alignment, g.alignment)
            )


def test_at_least_one_sample() -> None:
    step, state, _ = make_table(sentences=1, vocab_size=4, seed=0)
    with pytest.raises(UsageError, match="samples 0: must be at least 1"):
        sample_search(step, state, table_limits([3]), samples=0)


def test_no_sentence_gives_no_draw() -> None:
    step, state, _ = make_table(sentences=1, vocab_size=4, seed=0)
    none = state.select(np.zeros(0, dtype=np.int64))
    assert sample_search(step, none, table_limits([])) == []
