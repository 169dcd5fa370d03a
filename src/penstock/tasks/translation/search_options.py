"""Everything that can be asked of a translation search, as one value."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from penstock.config import SearchConfig
from penstock.errors import UsageError
from penstock.metrics.consensus import Utility
from penstock.search import Ranking
from penstock.search.ranking import Normalization

SearchKind = Literal["beam", "greedy", "sample", "exact", "exhaustive", "mbr"]
LongLines = Literal["split", "truncate"]

MBR_SAMPLES = 32


@dataclass(frozen=True, slots=True)
class Phrases:
    """What one line's translation must and must not contain, as text.

    Attributes:
        prefix: it begins with this.
        required: these occur.
        forbidden: these do not.
    """

    prefix: str = ""
    required: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """How to search; None stands for what the model's configuration says.

    Attributes:
        search: `beam`; `greedy`; `sample`; `exact` (branch and bound, certified); `exhaustive`
            (everything, for tiny vocabularies); `mbr` (of samples, or of a beam's n-best, the one
            that agrees most with the others).
        beam_size: of `beam`, of `exact` for its first output, of `mbr` from a beam.
        n_best: alternatives a line.
        groups, diversity: see `penstock.search.beam_search`.
        samples: draws a line: 1 of `sample`, 32 of `mbr` unless given.
        temperature, top_k, top_p: see `penstock.search.shape`.
        seed: of the draws. A draw depends on it and on the line, not on other lines.
        budget: beginnings that `exact` extends a line.
        utility: by which `mbr` compares, `chrf` or `bleu`.
        mbr_from: where `mbr` takes candidates from.
        normalization, length_penalty, length_reward, coverage_penalty: see
            `penstock.search.Ranking`; `length_penalty` is its α.
        min_length, max_length: pieces of the output, its end not counted.
        min_length_ratio, max_length_ratio: the same in pieces of the source, its end counted.
            Where both are given, the stricter holds.
        no_repeat_ngram: no n-gram of pieces comes twice; 0: any may.
        allow_unknown: let the model write `<unk>`.
        replace_unknown: write in its place the source word that it attends to most.
        dictionary: for `replace_unknown`, what a source word becomes.
        phrases: of every line.
        placeholders: patterns (regular expressions): what they match in a line stands unchanged
            in its translation.
        alignments: keep the attention.
        batch: lines searched together; results do not depend on it.
        long_lines: whether lines that are too long for the model are split or cut short.

    Raises:
        UsageError: an impossible value.
    """

    search: SearchKind = "beam"
    beam_size: int | None = None
    n_best: int = 1
    groups: int = 1
    diversity: float = 0.0
    samples: int | None = None
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 1
    budget: int = 5000
    utility: Utility = "chrf"
    mbr_from: Literal["sample", "beam"] = "sample"
    normalization: Normalization = "book"
    length_penalty: float | None = None
    length_reward: float = 0.0
    coverage_penalty: float = 0.0
    min_length: int = 0
    max_length: int | None = None
    min_length_ratio: float = 0.0
    max_length_ratio: float | None = None
    no_repeat_ngram: int = 0
    allow_unknown: bool = False
    replace_unknown: bool = False
    dictionary: Mapping[str, str] = field(default_factory=dict[str, str])
    phrases: Phrases = Phrases()
    placeholders: tuple[str, ...] = ()
    alignments: bool = False
    batch: int = 64
    long_lines: LongLines = "split"

    def __post_init__(self) -> None:
        for name, value, kinds in (
            ("search", self.search, SearchKind),
            ("utility", self.utility, Utility),
            ("long_lines", self.long_lines, LongLines),
        ):
            if value not in get_args(kinds):
                raise UsageError(f"{name} {value!r}: choose {_listed(get_args(kinds))}")
        for name, number, least in (
            ("beam_size", self.beam_size, 1),
            ("samples", self.samples, 1),
            ("budget", self.budget, 1),
            ("batch", self.batch, 1),
            ("groups", self.groups, 1),
            ("diversity", self.diversity, 0),
            ("min_length", self.min_length, 0),
            ("max_length", self.max_length, 0),
            ("min_length_ratio", self.min_length_ratio, 0),
            ("max_length_ratio", self.max_length_ratio, 0),
            ("no_repeat_ngram", self.no_repeat_ngram, 0),
        ):
            if number is not None and not least <= number < math.inf:
                raise UsageError(f"{name} {number}: must be at least {least}")
        for pattern in self.placeholders:
            try:
                re.compile(pattern)
            except re.error as error:
                raise UsageError(
                    f"placeholder {pattern!r}: no regular expression: {error}"
                ) from None
        self.ranking(SearchConfig())

    def ranking(self, config: SearchConfig) -> Ranking:
        """How outputs are ranked."""
        alpha = config.length_penalty if self.length_penalty is None else self.length_penalty
        return Ranking(self.normalization, alpha, self.length_reward, self.coverage_penalty)

    def beam(self, config: SearchConfig) -> int:
        """Places of a beam.

        Raises:
            UsageError: groups do not divide it, or more alternatives are wanted than it has.
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
        return size

    @property
    def draws(self) -> int:
        """Samples a line."""
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


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + f" or {words[-1]}"
