"""The likeliest tokens against a stable sort."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.search.top import top_tokens


@pytest.mark.parametrize("vocab_size", [1, 2, 7, 300])
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("tied", [False, True], ids=["distinct", "tied"])
def test_they_are_those_of_a_stable_sort(vocab_size: int, count: int, tied: bool) -> None:
    random = np.random.default_rng(vocab_size + count)
    for rows in (1, 3, 40):
        values = random.standard_normal((rows, vocab_size), dtype=np.float32)
        if tied:
            values = (2 * values).round()  # zeros of both signs among them
        values[rows // 2, vocab_size // 2 :] = -np.inf
        width = min(count, vocab_size)
        expected = np.argsort(-values, axis=1, kind="stable")[:, :width]
        before = values.copy()
        found, ids = top_tokens(values, width)
        assert np.array_equal(values, before)
        possible = found > -np.inf
        assert np.array_equal(ids[possible], expected[possible])
        assert np.array_equal(found, np.take_along_axis(values, expected, 1))


def test_rows_of_another_layout_are_read_as_they_stand() -> None:
    values = np.array([[3, 1], [2, 5], [2, 4]], dtype=np.float32).T
    found, ids = top_tokens(values, 2)
    assert found.tolist() == [[3, 2], [5, 4]]
    assert ids.tolist() == [[0, 1], [1, 2]]
