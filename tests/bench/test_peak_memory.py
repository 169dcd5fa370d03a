"""`penstock bench memory` trains in a process of its own."""

import pytest

from penstock.bench.peak_memory import MemoryUse, extrapolate, measure_memory
from penstock.bench.preparation_speed import measure_preparation
from penstock.errors import PenstockError


def test_a_failed_training_is_reported() -> None:
    with pytest.raises(PenstockError, match="training on 0 pairs failed"):
        measure_memory([0], updates=1, say=lambda _: None)


def test_extrapolation_follows_the_last_two_sizes() -> None:
    uses = [MemoryUse(100, 400, 1, 5), MemoryUse(1_000, 410, 1, 50), MemoryUse(2_000, 412, 1, 100)]
    assert extrapolate(uses, 10_000) == (428, 500)
    assert extrapolate(uses[:1], 1_000) == (400, 50)


def test_preparation_is_measured() -> None:
    (found,) = measure_preparation(1000, [1], files=2, folder=None, say=lambda _: None)
    assert found.processes == 1
    assert 0 < found.own_seconds <= found.processor_seconds
