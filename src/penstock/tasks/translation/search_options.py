"""Everything that can be asked of a translation search, as one value."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from penstock.errors import UsageError
from penstock.options import (
    MOST_SERVED_SEED,
    BeamSize,
    LengthPenalty,
    MaxLengthRatio,
    Normalization,
    Offered,
    Options,
    Seed,
    Temperature,
    TopK,
    TopP,
    Utility,
)

if TYPE_CHECKING:
    from penstock.config import SearchConfig
    from penstock.search import Ranking

SearchKind = Literal["beam", "greedy", "sample", "exact", "exhaustive", "mbr"]
ServedKind = Literal["beam", "greedy", "sample", "exact", "mbr"]  # exhaustive has no budget
LongLines = Literal["split", "truncate"]
Length = Annotated[int, Field(ge=0, le=100_000)]
Ratio = Annotated[float, Field(ge=0, le=1000)]
ServedPhrase = Annotated[str, Field(min_length=1, max_length=200)]

MBR_SAMPLES = 32
MOST_ROWS = 65_536  # hypotheses that a step extends together


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return text


class Phrases(Options):
    """What one line's translation must and must not contain, as text."""

    prefix: Annotated[
        str,
        Field(description="Translations begin with this."),
        Offered(served=Annotated[str, Field(max_length=1000)]),
    ] = ""
    required: Annotated[
        tuple[str, ...],
        Field(strict=False, description="A phrase that occurs; repeatable."),
        Offered(name="require", served=Annotated[list[ServedPhrase], Field(max_length=4)]),
    ] = ()
    forbidden: Annotated[
        tuple[str, ...],
        Field(strict=False, description="A phrase that does not; repeatable."),
        Offered(name="forbid", served=Annotated[list[ServedPhrase], Field(max_length=50)]),
    ] = ()

    def beside(self, common: Phrases) -> Phrases:
        """A line's own phrases beside those of every line; its own prefix replaces theirs."""
        return Phrases(
            prefix=self.prefix or common.prefix,
            required=(*common.required, *self.required),
            forbidden=(*common.forbidden, *self.forbidden),
        )


class SearchOptions(Options):
    """How to search; None stands for the model's configuration.

    Searches are `beam`, `greedy`, `sample`, `exact` (branch and bound, certified), `exhaustive`
    (everything, for tiny vocabularies) and `mbr` (of samples, or of a beam's n-best, the one that
    agrees most with the others). For `groups` and `diversity` see `penstock.search.beam_search`,
    for `temperature`, `top_k` and `top_p` `penstock.search.shape`, and for what ranks outputs
    `penstock.search.Ranking`. Where lengths and ratios are both given, the stricter holds; lengths
    do not count the end of the output, ratios count that of the source.

    Raises:
        UsageError: an impossible value.
    """

    search: Annotated[
        SearchKind, Field(description="How to search; default: beam."), Offered(served=ServedKind)
    ] = "beam"
    beam_size: Annotated[
        BeamSize | None, Field(description="Default: the model's (5)."), Offered(most=16)
    ] = None
    n_best: Annotated[
        int,
        Field(ge=1, le=10_000, description="Alternatives per line."),
        Offered(flag=False, most=32),
    ] = 1
    groups: Annotated[
        int,
        Field(ge=1, le=1000, description="Of a diverse beam; they divide its size."),
        Offered(most=16),
    ] = 1
    diversity: Annotated[
        float, Field(ge=0, le=100, description="Cost of what other groups take.")
    ] = 0.0
    samples: Annotated[
        Annotated[int, Field(ge=1, le=1000)] | None,
        Field(description="Draws per line of sample (1) and mbr (32)."),
        Offered(most=32),
    ] = None
    temperature: Annotated[
        Temperature, Field(description="Below 1 sharper, above 1 flatter."), Offered(most=100)
    ] = 1.0
    top_k: Annotated[TopK | None, Field(description="Draw from the k likeliest.")] = None
    top_p: Annotated[TopP | None, Field(description="Draw from the likeliest that reach p.")] = None
    seed: Annotated[
        Seed,
        Field(description="Of the draws; default 1. Other lines do not matter to a draw."),
        Offered(most=MOST_SERVED_SEED),
    ] = 1
    budget: Annotated[
        int,
        Field(
            ge=1,
            le=100_000_000,
            description="Partial hypotheses that exact extends per line; default 5000.",
        ),
        Offered(most=5000),
    ] = 5000
    utility: Annotated[Utility, Field(description="By which mbr compares.")] = "chrf"
    mbr_from: Annotated[
        Literal["sample", "beam"], Field(description="Where mbr takes candidates from.")
    ] = "sample"
    normalization: Annotated[Normalization, Field(description="By length; default: book.")] = "book"
    length_penalty: Annotated[
        LengthPenalty | None, Field(description="α of log p / L^α, of book and gnmt.")
    ] = None
    length_reward: Annotated[
        float, Field(ge=-100, le=100, description="Added for every piece.")
    ] = 0.0
    coverage_penalty: Annotated[
        float, Field(ge=0, le=100, description="Weight of source left unread.")
    ] = 0.0
    min_length: Annotated[Length, Field(description="Least pieces."), Offered(most=1000)] = 0
    max_length: Annotated[Length | None, Field(description="Most pieces."), Offered(most=1000)] = (
        None
    )
    min_length_ratio: Annotated[
        Ratio, Field(description="Least pieces per source piece."), Offered(most=10)
    ] = 0.0
    max_length_ratio: Annotated[
        MaxLengthRatio | None, Field(description="Most pieces per source piece."), Offered(most=10)
    ] = None
    no_repeat_ngram: Annotated[
        int,
        Field(ge=0, le=100, description="No n-gram of so many pieces occurs twice; 0: any may."),
        Offered(most=20),
    ] = 0
    allow_unknown: Annotated[bool, Field(description="Let the model write <unk>.")] = False
    replace_unknown: Annotated[
        bool, Field(description="Copy the source word for <unk> that it attends to most.")
    ] = False
    dictionary: Annotated[
        Mapping[str, str],
        Field(description="For --replace-unknown: source word, tab, target word."),
        Offered(served=False),
    ] = Field(default_factory=dict)
    phrases: Annotated[Phrases, Field(description="Of every line."), Offered(served=False)] = (
        Phrases()
    )
    placeholders: Annotated[
        tuple[Annotated[str, AfterValidator(_pattern)], ...],
        Field(strict=False, description="A pattern: what it matches passes unchanged; repeatable."),
        Offered(name="placeholder", served=False),
    ] = ()
    alignments: Annotated[bool, Field(description="Keep the attention."), Offered(flag=False)] = (
        False
    )
    batch: Annotated[
        int,
        Field(ge=1, le=10_000, description="Lines searched together; default 64."),
        Offered(served=False),
    ] = 64
    long_lines: Annotated[
        LongLines, Field(description="Lines too long for the model."), Offered(served=False)
    ] = "split"

    def ranking(self, config: SearchConfig) -> Ranking:
        """How outputs are ranked."""
        from penstock.search import Ranking

        alpha = config.length_penalty if self.length_penalty is None else self.length_penalty
        return Ranking(self.normalization, alpha, self.length_reward, self.coverage_penalty)

    def beam(self, config: SearchConfig) -> int:
        """Slots of a beam.

        Raises:
            UsageError: groups do not divide it, more alternatives are wanted than it has, or a
                batch would have too many hypotheses.
        """
        size = config.beam_size if self.beam_size is None else self.beam_size
        if size % self.groups:
            raise UsageError(f"groups {self.groups}: must divide the beam size, {size}")
        most, why = {
            "beam": (size, "the beam size"),
            "greedy": (1, "what greedy search gives"),
            "sample": (self.draws, "the number of samples"),
            "mbr": (self.draws if self.mbr_from == "sample" else size, "its candidates"),
        }.get(self.search, (10_000, "more is of no use"))
        if not 1 <= self.n_best <= most:
            raise UsageError(f"n_best {self.n_best}: must be between 1 and {most}, {why}")
        rows = self.draws if self.draws_samples else 1 if self.search == "greedy" else size
        if rows * self.batch > MOST_ROWS:
            raise UsageError(
                f"batch {self.batch:,} × {rows:,} hypotheses per line: at most {MOST_ROWS:,} are "
                f"searched together; lower batch to {MOST_ROWS // rows:,} or less"
            )
        return size

    @property
    def draws_samples(self) -> bool:
        """Whether outputs are drawn, not searched for."""
        return self.search == "sample" or (self.search == "mbr" and self.mbr_from == "sample")

    @property
    def draws(self) -> int:
        """Samples per line."""
        if self.samples is not None:
            return self.samples
        return MBR_SAMPLES if self.search == "mbr" else max(1, self.n_best)

    def lengths(self, source: int, config: SearchConfig) -> tuple[int, int]:
        """The least and the greatest length for a source of so many pieces."""
        ratio = config.max_length_ratio if self.max_length_ratio is None else self.max_length_ratio
        extra = config.max_length_extra if self.max_length_ratio is None else 0
        most = math.ceil(ratio * source) + extra
        if self.max_length is not None:
            most = min(most, self.max_length)
        return max(self.min_length, math.ceil(self.min_length_ratio * source)), most

    def signature(self, config: SearchConfig) -> str:
        """What was asked for, in one word for reports."""
        size = self.beam(config)
        words = {"beam": f"beam:{size}", "sample": f"sample:{self.draws}|seed:{self.seed}"}
        words["exact"] = f"exact:{self.budget}"
        words["mbr"] = f"mbr:{self.draws if self.mbr_from == 'sample' else size}|{self.utility}"
        return words.get(self.search, self.search)
