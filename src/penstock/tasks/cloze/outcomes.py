"""Held-out lines of which a cloze model has filled every token in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from penstock.data.pair import Pair
from penstock.metrics.confidence import Outcomes

if TYPE_CHECKING:
    from penstock.tasks.cloze.blank_filler import BlankFiller


def outcomes(filler: BlankFiller, pairs: Sequence[Pair]) -> Outcomes:
    """Fill held-out lines."""
    return filler.outcomes([pair.source for pair in pairs])
