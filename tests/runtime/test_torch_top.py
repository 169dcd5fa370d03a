"""The likeliest tokens against a stable sort."""

from __future__ import annotations

import math

import pytest
import torch

from penstock.runtime.torch_top import top_tokens


@pytest.mark.parametrize("vocab_size", [1, 2, 7, 64, 65, 300, 448, 449, 1000, 2112])
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("tied", [False, True], ids=["distinct", "tied"])
def test_they_are_those_of_a_stable_sort(vocab_size: int, count: int, tied: bool) -> None:
    random = torch.Generator().manual_seed(vocab_size + count)
    for rows in (1, 3, 40):
        values = torch.randn(rows, vocab_size, generator=random)
        if tied:
            values = (2 * values).round()  # zeros of both signs among them
        values[rows // 2, vocab_size // 2 :] = -math.inf
        order = torch.sort(values, dim=-1, descending=True, stable=True)
        width = min(count, vocab_size)
        found, ids = top_tokens(values, width)
        assert torch.equal(found, order.values[:, :width])
        possible = found > -math.inf  # of what is impossible any may stand there
        assert torch.equal(ids[possible], order.indices[:, :width][possible])


def test_a_row_is_the_same_in_any_company() -> None:
    row = torch.zeros(1, 900)
    row[0, ::7] = 1.0
    alone = top_tokens(row, 5)[1]
    for others in (1, 9):
        company = torch.cat([torch.randn(others, 900), row])
        assert torch.equal(top_tokens(company, 5)[1][-1:], alone)
    assert alone.tolist() == [[0, 7, 14, 21, 28]]
