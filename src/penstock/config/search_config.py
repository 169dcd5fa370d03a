"""`[search]`: how a trained model searches unless told otherwise."""

from __future__ import annotations

from pydantic import Field

from penstock.config.section import Section


class SearchConfig(Section):
    """How a trained model searches unless told otherwise."""

    beam_size: int = Field(default=5, ge=1)
    """Hypotheses kept at each step."""
    length_penalty: float = Field(default=1.0, ge=0)
    """Exponent of the length that scores are divided by; 0 favors short outputs."""
    max_length_ratio: float = Field(default=2.0, gt=0, le=1000)
    """Longest output in target tokens: this times the source's tokens, plus `max_length_extra`."""
    max_length_extra: int = Field(default=10, ge=1, le=100_000)
    """Tokens added to that limit."""
