"""`[search]`: the defaults of a trained model's search."""

from __future__ import annotations

from pydantic import Field

from penstock.config.option_model import BeamSize, LengthPenalty, MaxLengthRatio
from penstock.config.section import Auto, Section


class SearchConfig(Section):
    """The defaults of a trained model's search."""

    beam_size: BeamSize = 5
    """Hypotheses kept at each step."""
    length_penalty: LengthPenalty = 1.0
    """Exponent of the length that scores are divided by; 0 favors short outputs."""
    max_length_ratio: Auto[MaxLengthRatio] = 2.0
    """Longest output in target tokens: this times the source's tokens, plus `max_length_extra`."""
    max_length_extra: int = Field(default=10, ge=1, le=100_000)
    """Tokens added to that limit."""
