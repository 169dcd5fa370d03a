"""The options of a translation search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from penstock.config.option_model import (
    BeamSize,
    LengthPenalty,
    MaxLengthRatio,
    MinConfidence,
    Normalization,
    Offered,
    Options,
    Seed,
    Temperature,
    TopK,
    TopP,
    Utility,
)
from penstock.errors import UsageError

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
MOST_ROWS = 65_536  # hypotheses extended in one step


def _pattern(text: str) -> str:
    from penstock.text.pattern import check_pattern

    check_pattern(text)
    return text


class Phrases(Options):
    """Phrases that one line's translation must and must not contain."""

    prefix: Annotated[
        str,
        Field(description="Text that each translation must begin with."),
        Offered(served=Annotated[str, Field(max_length=1000)]),
    ] = ""
    required: Annotated[
        tuple[str, ...],
        Field(strict=False, description="Phrase that translations must contain; repeatable."),
        Offered(name="require", served=Annotated[list[ServedPhrase], Field(max_length=4)]),
    ] = ()
    forbidden: Annotated[
        tuple[str, ...],
        Field(strict=False, description="Phrase that translations must not contain; repeatable."),
        Offered(name="forbid", served=Annotated[list[ServedPhrase], Field(max_length=50)]),
    ] = ()

    def beside(self, common: Phrases) -> Phrases:
        """Merge a line's phrases with those of every line; its own prefix wins."""
        return Phrases(
            prefix=self.prefix or common.prefix,
            required=(*common.required, *self.required),
            forbidden=(*common.forbidden, *self.forbidden),
        )


class SearchOptions(Options):
    """How to search; None stands for the model's configuration.

    Searches are `beam`, `greedy`, `sample`, `exact` (branch and bound, certified), `exhaustive`
    (everything, for tiny vocabularies) and `mbr` (minimum Bayes risk over samples or a beam's
    n-best). `penstock.search` explains `groups` and `diversity` (`beam_search`), `temperature`,
    `top_k` and `top_p` (`shape`), and the scores (`Ranking`). If both lengths and ratios are given,
    the stricter applies; EOS counts in the source's length, not in the output's.

    Raises:
        UsageError: an impossible value.
    """

    search: Annotated[
        SearchKind,
        Field(description="Search algorithm; default: beam."),
        Offered(served=ServedKind),
    ] = "beam"
    beam_size: Annotated[
        BeamSize | None,
        Field(description="Beam size; default: from the model's configuration (5)."),
        Offered(most=16),
    ] = None
    n_best: Annotated[
        int,
        Field(ge=1, le=10_000, description="Number of alternatives per line."),
        Offered(flag=False, most=32),
    ] = 1
    groups: Annotated[
        int,
        Field(ge=1, le=1000, description="Groups of a diverse beam; must divide the beam size."),
        Offered(most=16),
    ] = 1
    diversity: Annotated[
        float, Field(ge=0, le=100, description="Penalty for tokens that other groups have chosen.")
    ] = 0.0
    samples: Annotated[
        Annotated[int, Field(ge=1, le=1000)] | None,
        Field(description="Samples per line; default: 1 for sample, 32 for mbr."),
        Offered(most=32),
    ] = None
    temperature: Temperature = 1.0
    top_k: TopK = None
    top_p: TopP = None
    seed: Annotated[
        Seed,
        Field(
            description="Random seed; default: 1. A line's samples do not depend on other lines."
        ),
    ] = 1
    budget: Annotated[
        int,
        Field(
            ge=1,
            le=100_000_000,
            description="Partial hypotheses that exact search extends per line; default: 5000.",
        ),
        Offered(most=5000),
    ] = 5000
    utility: Annotated[Utility, Field(description="Metric by which mbr compares.")] = "chrf"
    mbr_from: Annotated[
        Literal["sample", "beam"], Field(description="Search that gives mbr its candidates.")
    ] = "sample"
    normalization: Annotated[
        Normalization, Field(description="Length normalization of the scores; default: book.")
    ] = "book"
    length_penalty: Annotated[
        LengthPenalty | None, Field(description="Exponent α of log p / L^α in book and gnmt.")
    ] = None
    length_reward: Annotated[
        float, Field(ge=-100, le=100, description="Reward per target piece.")
    ] = 0.0
    coverage_penalty: Annotated[
        float,
        Field(ge=0, le=100, description="Weight of the penalty for unattended source pieces."),
    ] = 0.0
    min_length: Annotated[
        Length, Field(description="Minimum number of target pieces."), Offered(most=1000)
    ] = 0
    max_length: Annotated[
        Length | None, Field(description="Maximum number of target pieces."), Offered(most=1000)
    ] = None
    min_length_ratio: Annotated[
        Ratio, Field(description="Minimum target pieces per source piece."), Offered(most=10)
    ] = 0.0
    max_length_ratio: Annotated[
        MaxLengthRatio | None,
        Field(description="Maximum target pieces per source piece."),
        Offered(most=10),
    ] = None
    no_repeat_ngram: Annotated[
        int,
        Field(ge=0, le=100, description="Forbid repeating n-grams of this length; 0: allow."),
        Offered(most=20),
    ] = 0
    allow_unknown: Annotated[bool, Field(description="Allow <unk> in the output.")] = False
    replace_unknown: Annotated[
        bool, Field(description="Replace each <unk> by the source word it attends to most.")
    ] = False
    dictionary: Annotated[
        Mapping[str, str],
        Field(description="File for --replace-unknown: source word, tab, target word per line."),
        Offered(served=False),
    ] = Field(default_factory=dict)
    phrases: Annotated[
        Phrases, Field(description="Phrases of every line."), Offered(served=False)
    ] = Phrases()
    placeholders: Annotated[
        tuple[Annotated[str, AfterValidator(_pattern)], ...],
        Field(
            strict=False,
            description="Regular expression (RE2); what it matches is copied; repeatable.",
        ),
        Offered(name="placeholder", served=False),
    ] = ()
    alignments: Annotated[
        bool, Field(description="Return the attention weights."), Offered(flag=False)
    ] = False
    min_confidence: MinConfidence = None
    batch: Annotated[
        int,
        Field(ge=1, le=10_000, description="Lines per batch; default: 64."),
        Offered(served=False),
    ] = 64
    long_lines: Annotated[
        LongLines,
        Field(description="What to do with lines too long for the model; default: split."),
        Offered(served=False),
    ] = "split"

    def ranking(self, config: SearchConfig) -> Ranking:
        """The ranking of outputs."""
        from penstock.search import Ranking

        alpha = config.length_penalty if self.length_penalty is None else self.length_penalty
        return Ranking(self.normalization, alpha, self.length_reward, self.coverage_penalty)

    def beam(self, config: SearchConfig) -> int:
        """The beam size.

        Raises:
            UsageError: the groups do not divide it, it is smaller than `n_best`, or a batch would
                have too many hypotheses.
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
        rows = self.rows(config)
        if rows * self.batch > MOST_ROWS:
            raise UsageError(
                f"batch {self.batch:,} × {rows:,} hypotheses per line: at most {MOST_ROWS:,} are "
                f"searched together; lower batch to {MOST_ROWS // rows:,} or less"
            )
        return size

    def rows(self, config: SearchConfig) -> int:
        """The hypotheses of a line that are extended together."""
        if self.draws_samples:
            return self.draws
        if self.search == "greedy":
            return 1
        return config.beam_size if self.beam_size is None else self.beam_size

    @property
    def draws_samples(self) -> bool:
        """Whether outputs are sampled rather than searched for."""
        return self.search == "sample" or (self.search == "mbr" and self.mbr_from == "sample")

    @property
    def seeks_the_likeliest(self) -> bool:
        """Whether an output's probability says how sure the model is of it."""
        return self.search not in ("sample", "mbr")

    @property
    def draws(self) -> int:
        """Samples per line."""
        if self.samples is not None:
            return self.samples
        return MBR_SAMPLES if self.search == "mbr" else max(1, self.n_best)

    def lengths(self, source: int, config: SearchConfig) -> tuple[int, int]:
        """The minimum and maximum output length for a source of `source` pieces."""
        ratio = config.max_length_ratio if self.max_length_ratio is None else self.max_length_ratio
        extra = config.max_length_extra if self.max_length_ratio is None else 0
        most = math.ceil(ratio * source) + extra
        if self.max_length is not None:
            most = min(most, self.max_length)
        return max(self.min_length, math.ceil(self.min_length_ratio * source)), most

    def signature(self, config: SearchConfig) -> str:
        """The search and its settings in one word, for reports."""
        size = self.beam(config)
        words = {"beam": f"beam:{size}", "sample": f"sample:{self.draws}|seed:{self.seed}"}
        words["exact"] = f"exact:{self.budget}"
        words["mbr"] = f"mbr:{self.draws if self.mbr_from == 'sample' else size}|{self.utility}"
        return words.get(self.search, self.search)
