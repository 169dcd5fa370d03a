"""The bounds of the filters that clean a corpus."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from penstock.config.option_model import Options

Characters = Annotated[int, Field(ge=0, le=10**6)]
Share = Annotated[float, Field(ge=0, le=1)]


class FilterOptions(Options):
    """Bounds; `filter_table.py` says which filter reads which."""

    min_length: Annotated[Characters, Field(description="Fewest characters of a side.")] = 1
    max_length: Annotated[Characters, Field(description="Most characters of a side.")] = 1000
    max_ratio: Annotated[
        float,
        Field(
            gt=1,
            le=1000,
            description="How many times as long, or as short, as usual a target may be for its "
            "source; usual is the median of the first 10,000 pairs.",
        ),
    ] = 3.0
    min_letters: Annotated[
        Share, Field(description="Smallest share of letters among a side's characters.")
    ] = 0.3
    max_copied: Annotated[
        Share, Field(description="Pairs go out from this share of words that both sides have.")
    ] = 0.9
    languages: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9_-]*,[A-Za-z0-9_-]*$",
            description="Expected languages of source and target: en,fr; one may be left out: ,fr.",
        ),
    ] = None
    min_language: Annotated[
        Share,
        Field(
            description="Smallest probability of the expected language, per that of the likeliest."
        ),
    ] = 0.1
    min_score: Annotated[
        float | None,
        Field(
            ge=-1000,
            le=0,
            description="Smallest mean log-probability of a target's tokens under the model of "
            "--model.",
        ),
    ] = None
    without: Annotated[
        tuple[str, ...],
        Field(strict=False, description="Name of a filter to leave out. Repeatable."),
    ] = ()
