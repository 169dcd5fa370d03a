"""Exhaustive search against enumeration by hand, one sequence at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import UsageError
from penstock.search import Ranking, StepOutput, beam_search, exhaustive, exhaustive_search
from penstock.search.step import Ints
from table_model import (
    History,
    enumerate_all,
    log_probability,
    make_table,
    output_of,
    table_limits,
)


@settings(max_examples=30, deadline=None)
@given(
    vocab_size=st.integers(3, 5),
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    length_penalty=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    seed=st.integers(0, 1000),
)
def test_it_finds_what_enumeration_finds(
    vocab_size: int, lengths: list[int], length_penalty: float, seed: int
) -> None:
    step, state, table = make_table(sentences=len(lengths), vocab_size=vocab_size, seed=seed)
    limits = table_limits(lengths)
    found = exhaustive_search(
        step, state, limits, n_best=1000, ranking=Ranking(alpha=length_penalty)
    )
    for sentence, hypotheses in enumerate(found):
        expected = enumerate_all(table, sentence, limits, length_penalty)
        assert [h.score for h in hypotheses] == pytest.approx([s for s, _ in expected], abs=1e-5)
        assert {tuple(h.tokens) for h in hypotheses} == {tuple(tokens) for _, tokens in expected}
        for h in hypotheses:
            own = log_probability(table, sentence, h.tokens)
            assert h.log_probability == pytest.approx(own, abs=1e-5)
            assert sum(h.token_log_probabilities) == pytest.approx(h.log_probability)


@pytest.mark.parametrize("rows", [1, 3, 7])
def test_blocks_of_any_size_give_the_same(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    step, state, _ = make_table(sentences=2, vocab_size=5, seed=2)
    whole = exhaustive_search(step, state, table_limits([4, 3]), n_best=9, align=True)
    monkeypatch.setattr(exhaustive, "_ROWS", rows)
    parts = exhaustive_search(step, state, table_limits([4, 3]), n_best=9, align=True)
    for one, other in zip(whole, parts, strict=True):
        assert [(h.tokens, h.score, h.finished) for h in one] == [
            (h.tokens, h.score, h.finished) for h in other
        ]
        for h, g in zip(one, other, strict=True):
            assert h.alignment is not None or not h.tokens
            assert (h.alignment is None and g.alignment is None) or (
                h.alignment is not None
                and g.alignment is not None
                and np.array_equal(h.alignment, g.alignment)
            )


def test_it_says_what_a_wide_beam_says() -> None:
    for seed in range(5):
        step, state, _ = make_table(sentences=3, vocab_size=4, seed=seed)
        limits = table_limits([4, 2, 3])
        wide = beam_search(step, state, limits, beam_size=200, n_best=9, align=True)
        found = exhaustive_search(step, state, limits, n_best=9, align=True)
        for ours, beams in zip(found, wide, strict=True):
            for h, g in zip(ours, beams, strict=True):
                assert (h.tokens, h.finished) == (g.tokens, g.finished)
                assert h.score == pytest.approx(g.score, abs=1e-6)
                if h.tokens:
                    assert h.alignment is not None
                    assert g.alignment is not None
                    assert np.array_equal(h.alignment, g.alignment)


def test_of_equal_scores_the_lower_ids_come_first() -> None:
    def step(tokens: Ints, state: History, /, *, top: int) -> StepOutput[History]:
        return output_of(np.zeros((len(tokens), 4)), state, None, top)

    zero = np.zeros(1, dtype=np.int64)
    limits = table_limits([1])
    [found] = exhaustive_search(step, History(zero, zero), limits, n_best=3, ranking=Ranking())
    assert [h.tokens for h in found] == [[], [2], [3]]


def test_too_many_outputs_are_refused() -> None:
    step, state, _ = make_table(sentences=2, vocab_size=6, seed=0)
    with pytest.raises(
        UsageError,
        match=r"sentence 2 has 5.5e\+03 possible outputs \(4 tokens, at most 6 long\), more than",
    ):
        exhaustive_search(step, state, table_limits([2, 6]), most=5000, n_best=1)
    with pytest.raises(UsageError, match=r"sentence 2 has about 10\^602 possible outputs"):
        exhaustive_search(step, state, table_limits([2, 1000]), n_best=1)


def test_no_sentence_gives_no_hypothesis() -> None:
    step, state, _ = make_table(sentences=1, vocab_size=4, seed=0)
    none = state.select(np.zeros(0, dtype=np.int64))
    assert exhaustive_search(step, none, table_limits([])) == []
