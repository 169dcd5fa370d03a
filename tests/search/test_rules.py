"""Limits of every kind, in every search, against filtering every output there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from penstock.errors import UsageError
from penstock.search import (
    Constraints,
    Hypothesis,
    Limits,
    Ranking,
    beam_search,
    exact_search,
    exhaustive_search,
    greedy_search,
    sample_search,
)
from table_model import TABLE_BOS, TABLE_EOS, enumerate_all, make_table, table_limits

MOST = 5
TOKENS = (2, 3, 4)  # ordinary ids of a vocabulary of five

Search = Callable[[Any, Any, Limits], list[list[Hypothesis]]]
SEARCHES: dict[str, Search] = {
    "greedy": lambda step, state, limits: [[h] for h in greedy_search(step, state, limits)],
    "sample": lambda step, state, limits: sample_search(step, state, limits, samples=5, seed=3),
    "beam": lambda step, state, limits: beam_search(step, state, limits, beam_size=3, n_best=3),
    "diverse": lambda step, state, limits: beam_search(
        step, state, limits, beam_size=4, n_best=4, groups=2, diversity=1.0
    ),
    "exact": lambda step, state, limits: exact_search(step, state, limits, n_best=3, budget=150),
}
every_search = pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES.keys())


def contains(tokens: list[int], phrase: tuple[int, ...]) -> bool:
    return any(tuple(tokens[i : i + len(phrase)]) == phrase for i in range(len(tokens)))


def repeats(tokens: list[int], n: int) -> bool:
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return len(set(grams)) < len(grams)


def meets(tokens: list[int], constraints: Constraints, least: int) -> bool:
    return (
        len(tokens) >= least
        and tuple(tokens[: len(constraints.prefix)]) == constraints.prefix
        and all(contains(tokens, phrase) for phrase in constraints.required)
        and not any(contains(tokens, phrase) for phrase in constraints.forbidden)
    )


phrases = st.lists(st.sampled_from(TOKENS), min_size=1, max_size=3).map(tuple)
any_constraints = st.builds(
    Constraints,
    prefix=st.lists(st.sampled_from(TOKENS), max_size=2).map(tuple),
    required=st.lists(phrases, max_size=2).map(tuple),
    forbidden=st.lists(phrases, max_size=2).map(tuple),
)


@settings(max_examples=50, deadline=None)
@given(constraints=any_constraints, least=st.integers(0, 3), seed=st.integers(0, 500))
def test_limits_filter_every_output_and_impossible_ones_are_refused(
    constraints: Constraints, least: int, seed: int
) -> None:
    step, state, table = make_table(sentences=2, vocab_size=5, seed=seed)
    limits = Limits(
        TABLE_BOS, TABLE_EOS, (TABLE_BOS,), [MOST, 4], [least, 0], [constraints, Constraints()]
    )
    free = [enumerate_all(table, i, table_limits([MOST, 4]), 1.0) for i in range(2)]
    wanted = [tokens for _, tokens in free[0] if meets(tokens, constraints, least)]
    if not wanted:
        with pytest.raises(UsageError, match="sentence 1"):
            exhaustive_search(step, state, limits, n_best=1000)
        return
    found = exhaustive_search(step, state, limits, n_best=1000)
    assert [h.tokens for h in found[0]] == wanted
    assert [h.tokens for h in found[1]] == [tokens for _, tokens in free[1]]
    [[best], _] = exact_search(step, state, limits, budget=10_000)
    assert best.tokens == wanted[0]
    assert best.certified
    wide = beam_search(step, state, limits, beam_size=400, n_best=400)
    assert [h.tokens for h in wide[0]] == wanted


@every_search
@settings(max_examples=40, deadline=None)
@given(constraints=any_constraints, least=st.integers(0, 3), seed=st.integers(0, 500))
def test_every_search_meets_every_demand(
    search: Search, constraints: Constraints, least: int, seed: int
) -> None:
    # a vocabulary with ids that no phrase contains: no search can be led into a dead end
    step, state, _ = make_table(sentences=2, vocab_size=8, seed=seed)
    most = 8
    limits = Limits(
        TABLE_BOS, TABLE_EOS, (TABLE_BOS, 7), [most, most], [0, least], [Constraints(), constraints]
    )
    try:
        found = search(step, state, limits)
    except UsageError as error:
        assume(False)
        raise AssertionError from error
    for h in found[1]:
        assert meets(h.tokens, constraints, least)
        assert len(h.tokens) <= most
        assert 7 not in h.tokens
    plain = Limits(TABLE_BOS, TABLE_EOS, (TABLE_BOS, 7), [most, most])
    for one, other in zip(found[0], search(step, state, plain)[0], strict=True):
        assert one == other  # the sentence without constraints is searched as ever


@every_search
@pytest.mark.parametrize("n", [1, 2, 3])
def test_no_ngram_comes_twice(search: Search, n: int) -> None:
    repeated = False
    for seed in range(8):
        step, state, table = make_table(sentences=2, vocab_size=8, seed=seed)
        table[..., TABLE_EOS] -= 6  # long outputs
        limits = Limits(TABLE_BOS, TABLE_EOS, (TABLE_BOS,), [9, 5], no_repeat=n)
        for hypotheses in search(step, state, limits):
            assert not any(repeats(h.tokens, n) for h in hypotheses if len(h.tokens) <= 6)
        plain = search(step, state, table_limits([9, 5]))
        repeated |= any(repeats(h.tokens, n) for found in plain for h in found)
    assert repeated, "without the rule nothing repeats: the test shows nothing"


def test_the_ngram_rule_rests_where_it_would_leave_nothing() -> None:
    step, state, _ = make_table(sentences=1, vocab_size=4, seed=0)
    limits = Limits(TABLE_BOS, TABLE_EOS, (TABLE_BOS,), [6], [6], no_repeat=1)
    [[h]] = beam_search(step, state, limits, beam_size=2)
    assert len(h.tokens) == 6


def test_a_beam_makes_room_for_phrases_before_the_end_forces_them() -> None:
    """What the best output with a phrase is ahead of the beam's, in nats, over 20 sentences."""
    behind = {1: 0.0, 3: 0.0, 8: 0.0}
    for seed in range(20):
        step, state, _ = make_table(sentences=1, vocab_size=8, seed=seed)
        constraints = Constraints(required=((3, 5),))
        limits = Limits(TABLE_BOS, TABLE_EOS, (TABLE_BOS,), [9], constraints=[constraints])
        ranking = Ranking("none")
        [[best]] = exact_search(step, state, limits, ranking=ranking, budget=100_000)
        assert best.certified
        for size in behind:
            [[found]] = beam_search(step, state, limits, beam_size=size, ranking=ranking)
            behind[size] += (best.score - found.score) / 20
    assert behind[1] > 2 * behind[3] > 2 * behind[8] >= 0
    assert behind[8] < 1


def test_a_beam_of_one_is_greedy_search_with_phrases_too() -> None:
    for seed in range(10):
        step, state, _ = make_table(sentences=2, vocab_size=8, seed=seed)
        constraints = Constraints(prefix=(4,), required=((3, 5), (2,)), forbidden=((6, 6),))
        limits = Limits(
            TABLE_BOS,
            TABLE_EOS,
            (TABLE_BOS,),
            [9, 7],
            [2, 0],
            [constraints, Constraints()],
            no_repeat=2,
        )
        greedy = greedy_search(step, state, limits, ranking=Ranking())
        assert beam_search(step, state, limits, beam_size=1) == [[h] for h in greedy]


@every_search
def test_an_empty_set_of_demands_changes_nothing(search: Search) -> None:
    step, state, _ = make_table(sentences=3, vocab_size=6, seed=5)
    plain = search(step, state, table_limits([6, 5, 4]))
    empty = Limits(
        TABLE_BOS, TABLE_EOS, (TABLE_BOS,), [6, 5, 4], [0, 0, 0], [Constraints()] * 3, no_repeat=0
    )
    assert search(step, state, empty) == plain
    # and rules that nothing breaks change nothing either
    idle = Limits(
        TABLE_BOS, TABLE_EOS, (TABLE_BOS,), [6, 5, 4], constraints=[Constraints()] * 3, no_repeat=9
    )
    assert search(step, state, idle) == plain


def test_a_repetition_of_a_sentence_in_several_groups_is_told_once() -> None:
    for seed in range(10):
        step, state, _ = make_table(sentences=3, vocab_size=6, seed=seed)
        found = beam_search(
            step, state, table_limits([6, 4, 5]), beam_size=6, n_best=6, groups=3, diversity=0.0
        )
        for hypotheses in found:
            outputs = [tuple(h.tokens) for h in hypotheses]
            assert len(set(outputs)) == len(outputs) == 2  # three groups that agree
            assert [h.score for h in hypotheses] == sorted(
                (h.score for h in hypotheses), reverse=True
            )


def test_groups_without_diversity_are_small_beams_and_with_it_differ() -> None:
    more = 0
    for seed in range(10):
        step, state, _ = make_table(sentences=2, vocab_size=8, seed=seed)
        limits = table_limits([6, 6])
        small = beam_search(step, state, limits, beam_size=2, n_best=2)
        alike = beam_search(step, state, limits, beam_size=6, n_best=6, groups=3)
        assert [[h.tokens for h in found] for found in alike] == [
            [h.tokens for h in found] for found in small
        ]
        spread = beam_search(step, state, limits, beam_size=6, n_best=6, groups=3, diversity=2.0)
        for one, other in zip(small, spread, strict=True):
            assert one[0].tokens in [h.tokens for h in other]  # the first group is unmoved
            more += len({tuple(h.tokens) for h in other}) > len(one)
            for h in other:  # and the score is without the diversity
                assert h.score == pytest.approx(
                    Ranking().score(h.log_probability, len(h.tokens) + 1)
                )
                assert h.log_probability == pytest.approx(sum(h.token_log_probabilities))
    assert more >= 18


@pytest.mark.parametrize(
    ("constraints", "least", "says"),
    [
        (Constraints(prefix=(2,) * 7), 0, "take at least 7 tokens, but at most 5 are allowed"),
        (Constraints(required=((2, 2, 2), (3, 3, 3))), 0, "take at least 6 tokens, but at most 5"),
        (
            Constraints(required=((2, 0),)),
            0,
            r"the required phrase \[2, 0\] has id 0, which is never",
        ),
        (Constraints(prefix=(TABLE_EOS,)), 0, r"the prefix phrase \[1\] has id 1, which is never"),
        (Constraints(required=((99,),)), 0, "has id 99, which is never emitted"),
        (Constraints(prefix=(2, 3), forbidden=((3,),)), 0, "prefix contains a forbidden phrase"),
        (
            Constraints(required=((2, 3),), forbidden=((3,),)),
            0,
            "no output has all required and no",
        ),
        (Constraints(required=((),)), 0, "a required or forbidden phrase is empty"),
        (Constraints(), 6, "the least length 6 is above the greatest, 5"),
    ],
)
def test_impossible_demands(constraints: Constraints, least: int, says: str) -> None:
    step, state, _ = make_table(sentences=1, vocab_size=5, seed=0)
    limits = Limits(TABLE_BOS, TABLE_EOS, (TABLE_BOS,), [5], [least], [constraints])
    for search in SEARCHES.values():
        with pytest.raises(UsageError, match=says):
            search(step, state, limits)


def test_phrases_that_overlap_need_less_room() -> None:
    step, state, _ = make_table(sentences=1, vocab_size=5, seed=0)
    constraints = Constraints(required=((2, 3, 4), (4, 2, 3)))
    limits = Limits(TABLE_BOS, TABLE_EOS, (TABLE_BOS,), [5], constraints=[constraints])
    found = exhaustive_search(step, state, limits, n_best=9)[0]
    shortest = min(len(h.tokens) for h in found)
    assert [h.tokens for h in found if len(h.tokens) == shortest] == [[4, 2, 3, 4]]


def test_too_many_phrases_are_refused() -> None:
    step, state, _ = make_table(sentences=1, vocab_size=40, seed=0)
    many = tuple((2 + 2 * i, 3 + 2 * i) for i in range(15))
    limits = Limits(
        TABLE_BOS, TABLE_EOS, (TABLE_BOS,), [60], constraints=[Constraints(required=many)]
    )
    with pytest.raises(UsageError, match="too many to keep track of"):
        beam_search(step, state, limits, beam_size=2)


@pytest.mark.parametrize("options", [{"beam_size": 0}, {"beam_size": 4, "groups": 3}])
def test_impossible_beams(options: dict[str, int]) -> None:
    step, state, _ = make_table(sentences=1, vocab_size=5, seed=0)
    with pytest.raises(UsageError, match=r"beam_size \d, groups \d"):
        beam_search(step, state, table_limits([3]), **options)  # pyright: ignore


def test_alignments_of_a_diverse_beam_follow_its_groups() -> None:
    step, state, _ = make_table(sentences=2, vocab_size=6, seed=4)
    found = beam_search(
        step,
        state,
        table_limits([5, 4]),
        beam_size=4,
        n_best=4,
        groups=2,
        diversity=1.0,
        align=True,
    )
    for sentence, hypotheses in enumerate(found):
        for h in hypotheses:
            history = [0, TABLE_BOS, *h.tokens]
            expected = [[sentence, *history[i : i + 2]] for i in range(len(h.tokens))]
            assert h.alignment is None or h.alignment.tolist() == expected
            assert h.alignment is not None or not h.tokens
