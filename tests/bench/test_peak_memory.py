"""`penstock bench memory` trains in a process of its own."""

import pytest

from penstock.bench.peak_memory import measure_memory
from penstock.errors import PenstockError


def test_a_failed_training_is_reported() -> None:
    with pytest.raises(PenstockError, match="training on 0 pairs failed"):
        measure_memory([0], updates=1, say=lambda _: None)
