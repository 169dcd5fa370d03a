"""The options of a text generator."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from penstock.config.option_model import (
    Offered,
    Options,
    Seed,
    Temperature,
    TopK,
    TopP,
)


class WritingOptions(Options):
    """How to write.

    Raises:
        UsageError: an impossible value.
    """

    length: Annotated[
        int,
        Field(ge=1, le=10_000_000, description="Maximum number of tokens to write."),
        Offered(most=1000),
    ] = 200
    lines: Annotated[
        Annotated[int, Field(ge=1, le=10_000_000)] | None,
        Field(description="Number of lines after which to stop."),
        Offered(most=1000),
    ] = None
    search: Annotated[
        Literal["sample", "greedy"], Field(description="Sample each token, or take the likeliest.")
    ] = "sample"
    temperature: Temperature = 1.0
    top_k: TopK = None
    top_p: TopP = None
    seed: Seed = 1
