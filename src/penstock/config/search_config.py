"""`[search]`: how a trained model searches unless told otherwise."""

from __future__ import annotations

from pydantic import Field

from penstock.config.section import Section


class SearchConfig(Section):
    """How a trained model searches unless told otherwise."""

    beam_size: int = Field(default=5, ge=1)
    length_penalty: float = Field(default=1.0, ge=0)
    max_length_ratio: float = Field(default=2.0, gt=0, le=1000)
    max_length_extra: int = Field(default=10, ge=1, le=100_000)
