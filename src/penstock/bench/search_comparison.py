"""Compare greedy, beam and exact search on one sample with one ranking.

The tables of Stahlberg and Byrne (2019, https://arxiv.org/abs/1908.10090) for any model: how often
a search misses the best output, how often that output is empty, and how good it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penstock.data.pair import Pair
from penstock.metrics import score_corpus
from penstock.tasks.translation.result import Translation
from penstock.tasks.translation.search_options import SearchKind, SearchOptions
from penstock.tasks.translation.translator import Translator

BUDGETS = (1000, 5000, 20_000)

_SAME = 1e-4  # scores nearer than this differ by rounding only


@dataclass(frozen=True, slots=True)
class SearchQuality:
    """One search on the sample.

    Attributes:
        search: its name.
        errors: share of the certified sentences whose best output it missed; None without any.
        empty: share of empty outputs.
        log_probability: mean over the outputs.
        length_ratio: target pieces over those of the first reference.
        bleu: against all references.
        seconds: for the whole sample.
    """

    search: str
    errors: float | None
    empty: float
    log_probability: float
    length_ratio: float
    bleu: float
    seconds: float


@dataclass(frozen=True, slots=True)
class SearchReport:
    """The comparison.

    Attributes:
        sentences: number of sentences in the sample.
        certified: for each budget, the share of sentences whose best output it certifies.
        uncertified: number of sentences that the largest budget does not certify.
        empty_certified: share of the certified sentences whose best output is empty.
        gap: mean difference between bound and score of the uncertified sentences.
        searches: one row per search, exact search last.
    """

    sentences: int
    certified: dict[int, float]
    uncertified: int
    empty_certified: float | None
    gap: float | None
    searches: list[SearchQuality]


def compare_searches(
    translator: Translator,
    pairs: Sequence[Pair],
    options: SearchOptions,
    *,
    beam_sizes: Sequence[int] = (2, 5, 10, 30),
    budgets: Sequence[int] = BUDGETS,
) -> SearchReport:
    """Search the sources with every search.

    Args:
        translator: the model.
        pairs: the sample; sources too long for the model are left out.
        options: ranking and limits of all searches.
        beam_sizes: beam sizes to compare.
        budgets: of exact search, which runs once with the largest.
    """
    whole = translator.translate([pair.source for pair in pairs], options.changed(search="greedy"))
    kept = [pair for pair, result in zip(pairs, whole, strict=True) if result.parts == 1]
    runs: list[tuple[str, SearchOptions]] = [("greedy", _as(options, "greedy"))]
    runs += [(f"beam {n}", _as(options, "beam").changed(beam_size=n)) for n in beam_sizes]
    runs.append(("exact", _as(options, "exact").changed(budget=max(budgets))))
    sources = [pair.source for pair in kept]
    results = {name: translator.translate(sources, asked) for name, asked in runs}
    best = [result.alternatives[0] for result in results["exact"]]
    certain = [i for i, one in enumerate(best) if one.certified]
    open_gaps = [(one.bound or one.score) - one.score for one in best if not one.certified]
    used = [one.extended or 0 for one in best]
    return SearchReport(
        sentences=len(kept),
        certified={
            budget: sum(used[i] <= budget for i in certain) / max(len(kept), 1)
            for budget in budgets
        },
        uncertified=len(kept) - len(certain),
        empty_certified=sum(not best[i].tokens for i in certain) / len(certain)
        if certain
        else None,
        gap=sum(open_gaps) / len(open_gaps) if open_gaps else None,
        searches=[
            _quality(name, found, results["exact"], certain, kept, translator)
            for name, found in results.items()
        ],
    )


def _as(options: SearchOptions, search: SearchKind) -> SearchOptions:
    return options.changed(search=search, n_best=1, groups=1)


def _quality(
    name: str,
    found: Sequence[Translation],
    exact: Sequence[Translation],
    certain: Sequence[int],
    pairs: Sequence[Pair],
    translator: Translator,
) -> SearchQuality:
    missed = sum(found[i].score < exact[i].score - _SAME for i in certain)
    tokenizer = translator.bundle.target_tokenizer
    references = sum(len(ids) for ids in tokenizer.encode_batch([p.target for p in pairs]))
    pieces = sum(len(one.alternatives[0].tokens) for one in found)
    texts = [one.text for one in found]
    scores: Any = score_corpus(texts, [pair.targets for pair in pairs], ["bleu"])
    return SearchQuality(
        search=name,
        errors=missed / len(certain) if certain else None,
        empty=sum(not one.alternatives[0].tokens for one in found) / len(found),
        log_probability=sum(one.log_probability for one in found) / len(found),
        length_ratio=pieces / max(references, 1),
        bleu=scores.bleu,
        seconds=sum(one.seconds for one in found),
    )
