"""Everything that can be asked of a text generator, as one value."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from penstock.options import MOST_SERVED_SEED, Offered, Options, Seed, Temperature, TopK, TopP


class WritingOptions(Options):
    """How to write.

    Raises:
        UsageError: an impossible value.
    """

    length: Annotated[
        int, Field(ge=1, le=10_000_000, description="The most tokens to write."), Offered(most=1000)
    ] = 200
    lines: Annotated[
        Annotated[int, Field(ge=1, le=10_000_000)] | None,
        Field(description="Stop after so many lines."),
        Offered(most=1000),
    ] = None
    search: Annotated[
        Literal["sample", "greedy"], Field(description="Draw each token, or take the likeliest.")
    ] = "sample"
    temperature: Annotated[
        Temperature, Field(description="Below 1 more cautious, above 1 wilder."), Offered(most=100)
    ] = 1.0
    top_k: Annotated[TopK | None, Field(description="Draw among the k likeliest.")] = None
    top_p: Annotated[
        TopP | None, Field(description="Draw among the likeliest of this joint probability.")
    ] = None
    seed: Annotated[Seed, Field(description="Of the drawing."), Offered(most=MOST_SERVED_SEED)] = 1
