"""How far the best output of a beam is above the next: bounded by brute force, never by n-best."""

from __future__ import annotations

import pytest

from penstock.search import Ranking, beam_search
from table_model import enumerate_all, make_table, table_limits

PLAIN = Ranking("none")


@pytest.mark.parametrize("seed", range(5))
def test_a_margin_is_a_lower_bound_of_the_true_one(seed: int) -> None:
    """What has not ended can only lose probability, and the beam prunes nothing."""
    step, state, table = make_table(sentences=3, vocab_size=4, seed=seed)
    limits = table_limits([3, 3, 2])
    everything = [enumerate_all(table, b, limits, 0.0) for b in range(3)]
    wide = max(len(outputs) for outputs in everything)
    found = beam_search(step, state, limits, beam_size=wide, ranking=PLAIN)
    for (best, *_), ((first, _), (second, _), *_) in zip(found, everything, strict=True):
        assert best.margin is not None
        assert -1e-6 <= best.margin <= first - second + 1e-5


@pytest.mark.parametrize("ranking", [PLAIN, Ranking()])
@pytest.mark.parametrize("seed", range(5))
def test_it_does_not_depend_on_the_number_of_outputs(ranking: Ranking, seed: int) -> None:
    step, state, _ = make_table(sentences=4, vocab_size=6, seed=seed)
    limits = table_limits([6, 5, 4, 6])
    one, several = (
        beam_search(step, state, limits, beam_size=4, n_best=n, ranking=ranking) for n in (1, 4)
    )
    assert [own[0].margin for own in one] == [own[0].margin for own in several]
    assert all(each.margin is None for own in several for each in own[1:])


def test_a_beam_of_one_and_groups_have_none() -> None:
    step, state, _ = make_table(sentences=2, vocab_size=5, seed=1)
    limits = table_limits([4, 4])
    for size, groups in ((1, 1), (4, 2)):
        found = beam_search(step, state, limits, beam_size=size, groups=groups)
        assert [own[0].margin for own in found] == [None, None]
