"""Exact search against every output there is, and against every beam."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import UsageError
from penstock.search import (
    Limits,
    Ranking,
    Step,
    StepOutput,
    beam_search,
    exact_search,
    exhaustive_search,
    greedy_search,
    sample_search,
)
from penstock.search.step import Ints
from table_model import History, make_table, normalized, table_limits

RANKINGS = [
    Ranking("none"),
    Ranking("average"),
    Ranking("book", alpha=0.6),
    Ranking("book", alpha=1.3),
    Ranking("gnmt", alpha=0.8),
    Ranking("none", length_reward=0.7),
    Ranking("none", length_reward=-0.7),
    Ranking("book", alpha=0.5, length_reward=0.4),
    Ranking("gnmt", alpha=1.0, length_reward=-0.3),
]
rankings = st.sampled_from(RANKINGS)


@settings(max_examples=60, deadline=None)
@given(
    ranking=rankings,
    vocab_size=st.integers(3, 6),
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=2),
    n_best=st.integers(1, 3),
    batch=st.sampled_from([1, 3, 16]),
    seed=st.integers(0, 10_000),
)
def test_exact_is_exhaustive(
    ranking: Ranking, vocab_size: int, lengths: list[int], n_best: int, batch: int, seed: int
) -> None:
    step, state, _ = make_table(sentences=len(lengths), vocab_size=vocab_size, seed=seed)
    limits = table_limits(lengths)
    truth = exhaustive_search(step, state, limits, n_best=n_best + 1, ranking=ranking)
    found = exact_search(
        step, state, limits, n_best=n_best, ranking=ranking, batch=batch, beam_size=1, budget=10_000
    )
    for ours, every in zip(found, truth, strict=True):
        theirs = every[:n_best]
        assert [h.score for h in ours] == pytest.approx([h.score for h in theirs], abs=1e-6)
        for h, other in zip(ours, theirs, strict=True):
            assert h.certified
            assert h.bound == ours[0].score
            # of outputs that score alike to rounding either may come first
            if sum(abs(each.score - other.score) < 1e-6 for each in every) == 1:
                assert (h.tokens, h.finished) == (other.tokens, other.finished)
                assert h.token_log_probabilities == pytest.approx(other.token_log_probabilities)


@settings(max_examples=40, deadline=None)
@given(ranking=rankings, seed=st.integers(0, 10_000))
def test_exact_is_at_least_as_good_as_every_other_search(ranking: Ranking, seed: int) -> None:
    step, state, _ = make_table(sentences=2, vocab_size=8, seed=seed)
    limits = table_limits([9, 5])
    found = exact_search(step, state, limits, ranking=ranking, budget=100_000)
    others = [
        beam_search(step, state, limits, beam_size=size, ranking=ranking) for size in (1, 2, 5, 12)
    ]
    others.append([[h] for h in greedy_search(step, state, limits, ranking=ranking)])
    others.append(sample_search(step, state, limits, samples=20, ranking=ranking))
    for sentence, [best] in enumerate(found):
        assert best.certified
        for other in others:
            assert all(h.score <= best.score + 1e-9 for h in other[sentence])


@settings(max_examples=60, deadline=None)
@given(
    ranking=rankings,
    budget=st.integers(1, 40),
    batch=st.integers(1, 9),
    seed=st.integers(0, 10_000),
)
def test_what_is_uncertified_is_bounded(
    ranking: Ranking, budget: int, batch: int, seed: int
) -> None:
    step, state, _ = make_table(sentences=1, vocab_size=6, seed=seed)
    limits = table_limits([5])
    extended = 0

    def counted(tokens: Ints, before: History, /, *, top: int) -> StepOutput[History]:
        nonlocal extended
        extended += len(tokens)
        return step(tokens, before, top=top)

    [[best]] = beam_search(counted, state, limits, beam_size=1, ranking=ranking)
    by_beam, extended = extended, 0
    [[found]] = exact_search(
        counted, state, limits, ranking=ranking, budget=budget, batch=batch, beam_size=1
    )
    [[truth]] = exhaustive_search(step, state, limits, ranking=ranking)
    assert extended - by_beam <= budget
    assert found.bound is not None
    assert best.score <= found.score <= truth.score + 1e-6 <= found.bound + 2e-6
    if found.certified:
        assert found.score == pytest.approx(truth.score, abs=1e-6)
        assert found.bound == found.score


def test_children_that_are_not_kept_enter_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.search.exact._MOST_CHILDREN", 1)
    uncertified = 0
    for seed in range(20):
        step, state, _ = make_table(sentences=1, vocab_size=6, seed=seed)
        limits = table_limits([5])
        [[found]] = exact_search(step, state, limits, ranking=Ranking("average"), beam_size=1)
        [[truth]] = exhaustive_search(step, state, limits, ranking=Ranking("average"))
        assert found.bound is not None
        assert truth.score <= found.bound + 1e-6
        uncertified += not found.certified
    assert uncertified


def test_alignment_is_that_of_the_steps_that_made_the_tokens() -> None:
    for seed in range(5):
        step, state, _ = make_table(sentences=2, vocab_size=5, seed=seed)
        limits = table_limits([5, 4])
        ranking = Ranking("none", length_reward=1.5)
        found = exact_search(step, state, limits, ranking=ranking, n_best=3, align=True)
        for sentence, hypotheses in enumerate(found):
            for h in hypotheses:
                history = [0, 0, *h.tokens]
                expected = [[sentence, *history[i : i + 2]] for i in range(len(h.tokens))]
                assert (h.alignment is None) == (not h.tokens)
                assert h.alignment is None or h.alignment.tolist() == expected


def uneven(sentences: int) -> tuple[Step[History], History, Limits]:
    """A tiny language with attention over three positions, so that coverage tells outputs apart."""
    step, state, _ = make_table(sentences=sentences, vocab_size=5, seed=8)

    def attentive(tokens: Ints, before: History, /, *, top: int) -> StepOutput[History]:
        output = step(tokens, before, top=top)
        assert output.attention is not None
        attention = np.exp(normalized(output.attention * 2)).astype(np.float32)
        return output._replace(attention=attention)

    limits = Limits(0, 1, (0,), [4] * sentences, source_lengths=[3] * sentences)
    return attentive, state, limits


@pytest.mark.parametrize("penalty", [0.2, 2.0])
def test_coverage_is_searched_exactly_too(penalty: float) -> None:
    step, state, limits = uneven(3)
    ranking = Ranking("average", coverage_penalty=penalty)
    truth = exhaustive_search(step, state, limits, ranking=ranking, n_best=2)
    found = exact_search(step, state, limits, ranking=ranking, n_best=2)
    wide = beam_search(step, state, limits, ranking=ranking, beam_size=200, n_best=2)
    plain = exhaustive_search(step, state, limits, ranking=Ranking("average"))
    for ours, beams, theirs in zip(found, wide, truth, strict=True):
        assert [h.tokens for h in ours] == [h.tokens for h in theirs]
        assert [h.tokens for h in beams] == [h.tokens for h in theirs]
        assert [h.score for h in ours] == pytest.approx([h.score for h in theirs])
    assert all(a[0].score > b[0].score for a, b in zip(plain, truth, strict=True))
    if penalty > 1:
        assert any(a[0].tokens != b[0].tokens for a, b in zip(plain, truth, strict=True))


def test_a_coverage_penalty_needs_source_lengths() -> None:
    step, state, _ = make_table(sentences=1, vocab_size=5, seed=8)
    ranking = Ranking(coverage_penalty=1.0)
    with pytest.raises(UsageError, match="needs the lengths of the sources"):
        beam_search(step, state, table_limits([3]), beam_size=2, ranking=ranking)


@pytest.mark.parametrize("options", [{"budget": 0}, {"batch": 0}])
def test_impossible_options(options: dict[str, Any]) -> None:
    step, state, _ = make_table(sentences=1, vocab_size=4, seed=0)
    with pytest.raises(UsageError, match="must be at least 1"):
        exact_search(step, state, table_limits([3]), **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"normalization": "length"}, "normalization 'length': choose one of none, average, book"),
        ({"alpha": -1.0}, "length_penalty -1.0: must be a number of at least 0"),
        ({"length_reward": float("nan")}, "length_reward nan: must be a finite number"),
        ({"coverage_penalty": -0.5}, "coverage_penalty -0.5: must be a number of at least 0"),
    ],
)
def test_impossible_rankings(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Ranking(**options)


def test_no_sentence_gives_no_hypothesis() -> None:
    step, state, _ = make_table(sentences=1, vocab_size=4, seed=0)
    none = state.select(np.zeros(0, dtype=np.int64))
    assert exact_search(step, none, table_limits([])) == []
