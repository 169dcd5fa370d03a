"""The options of a text generator."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from penstock.config.option_model import (
    MAX_SERVED_SEED,
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
    temperature: Annotated[
        Temperature,
        Field(description="Sampling temperature: below 1 sharper, above 1 flatter."),
        Offered(most=100),
    ] = 1.0
    top_k: Annotated[TopK | None, Field(description="Sample from the k likeliest tokens.")] = None
    top_p: Annotated[
        TopP | None, Field(description="Sample from the likeliest tokens with total probability p.")
    ] = None
    seed: Annotated[Seed, Field(description="Random seed."), Offered(most=MAX_SERVED_SEED)] = 1
