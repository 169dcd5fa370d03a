"""The searches of a translation, by name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from penstock.config import SearchConfig
from penstock.errors import UsageError
from penstock.metrics.consensus import expected_utilities
from penstock.runtime.decoder_engine import SearchingEngine
from penstock.search import (
    Hypothesis,
    Limits,
    OnResult,
    Ranking,
    SearchTrace,
    ShouldStop,
    Step,
    beam_search,
    exact_search,
    exhaustive_search,
    greedy_search,
    sample_search,
)
from penstock.search.cancellation import check_stop
from penstock.tasks.translation.search_options import SearchOptions

Decode = Callable[[Sequence[int]], str]


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A batch of B sources, and how to search it. A search takes what it needs.

    Attributes:
        step, state: of the model; the state of B rows, before BOS.
        limits: of the B outputs.
        options, config: as asked, and where the options say nothing.
        texts: the B sources.
        decode: target ids to text.
        on_result: called with a row's number and its hypotheses as soon as nothing changes them;
            a search need not call it.
        trace: filled by beam search.
        should_stop: cancels the search when it returns True.
        engine: searches by itself what it can; None: all searches are done here.
    """

    step: Step[Any]
    state: Any
    limits: Limits
    options: SearchOptions
    config: SearchConfig
    texts: Sequence[str]
    decode: Decode
    on_result: OnResult
    trace: SearchTrace | None
    should_stop: ShouldStop | None
    engine: SearchingEngine | None = None

    @property
    def ranking(self) -> Ranking:
        """How outputs are ranked."""
        return self.options.ranking(self.config)

    @property
    def beam_size(self) -> int:
        """Slots per sentence."""
        return self.options.beam(self.config)

    @property
    def align(self) -> bool:
        """Whether attention is kept."""
        return self.options.alignments or self.options.replace_unknown

    def on_device(self, beam_size: int) -> list[list[Hypothesis]] | None:
        """What the engine finds by itself; None if it cannot search as asked."""
        options, ranking = self.options, self.ranking
        is_plain = self.limits.are_plain and options.groups == 1 and not self.align
        unweighted = not ranking.coverage_penalty and not ranking.length_reward
        if self.engine is None or self.trace is not None or not (is_plain and unweighted):
            return None
        return self.engine.search(
            self.state, self.limits, beam_size=beam_size, n_best=options.n_best, ranking=ranking,
            should_stop=self.should_stop,
        )  # fmt: skip


Search = Callable[[SearchRequest], list[list[Hypothesis]]]


def search_of(name: str) -> Search:
    """The search of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in SEARCHES:
        raise UsageError(f"search {name!r}: choose one of {', '.join(SEARCHES)}")
    return SEARCHES[name]


def _greedy(asked: SearchRequest) -> list[list[Hypothesis]]:
    on_device = asked.on_device(beam_size=1)
    if on_device is not None:
        return on_device
    found = greedy_search(
        asked.step, asked.state, asked.limits, ranking=asked.ranking, align=asked.align,
        on_result=asked.on_result, should_stop=asked.should_stop,
    )  # fmt: skip
    return [[hypothesis] for hypothesis in found]


def _beam(asked: SearchRequest) -> list[list[Hypothesis]]:
    on_device = asked.on_device(asked.beam_size)
    if on_device is not None:
        return on_device
    return beam_search(
        asked.step, asked.state, asked.limits, beam_size=asked.beam_size,
        n_best=asked.options.n_best, ranking=asked.ranking, groups=asked.options.groups,
        diversity=asked.options.diversity, align=asked.align, trace=asked.trace,
        on_result=asked.on_result, should_stop=asked.should_stop,
    )  # fmt: skip


def _sample(asked: SearchRequest) -> list[list[Hypothesis]]:
    options = asked.options
    # a text's random stream depends on the text alone
    keys = [hashlib.sha256(text.encode()).hexdigest() for text in asked.texts]
    return sample_search(
        asked.step, asked.state, asked.limits, samples=options.draws,
        temperature=options.temperature, top_k=options.top_k, top_p=options.top_p,
        seed=options.seed, keys=keys, ranking=asked.ranking, align=asked.align,
        should_stop=asked.should_stop,
    )  # fmt: skip


def _exact(asked: SearchRequest) -> list[list[Hypothesis]]:
    return exact_search(
        asked.step, asked.state, asked.limits, n_best=asked.options.n_best, ranking=asked.ranking,
        budget=asked.options.budget, beam_size=asked.beam_size, align=asked.align,
        should_stop=asked.should_stop,
    )  # fmt: skip


def _exhaustive(asked: SearchRequest) -> list[list[Hypothesis]]:
    return exhaustive_search(
        asked.step, asked.state, asked.limits, n_best=asked.options.n_best, ranking=asked.ranking,
        align=asked.align, should_stop=asked.should_stop,
    )  # fmt: skip


def _minimum_bayes_risk(asked: SearchRequest) -> list[list[Hypothesis]]:
    """The candidates of another search by expected utility, which becomes their score."""
    if asked.options.mbr_from == "sample":
        found = _sample(asked)
    else:
        found = beam_search(
            asked.step, asked.state, asked.limits, beam_size=asked.beam_size,
            n_best=asked.beam_size, ranking=asked.ranking, groups=asked.options.groups,
            diversity=asked.options.diversity, align=asked.align, trace=asked.trace,
            should_stop=asked.should_stop,
        )  # fmt: skip
    return [_by_utility(candidates, asked) for candidates in found]


def _by_utility(candidates: Sequence[Hypothesis], asked: SearchRequest) -> list[Hypothesis]:
    texts = [asked.decode(h.tokens) for h in candidates]
    values = expected_utilities(
        texts, asked.options.utility, before_each=lambda: check_stop(asked.should_stop)
    )
    different: dict[str, Hypothesis] = {}
    for text, value, hypothesis in zip(texts, values, candidates, strict=True):
        scored = replace(hypothesis, score=value)
        before = different.get(text)
        if before is None or scored.log_probability > before.log_probability:
            different[text] = scored
    ranked = sorted(different.values(), key=lambda h: (-h.score, -h.log_probability, h.tokens))
    return ranked[: asked.options.n_best]


SEARCHES: dict[str, Search] = {
    "beam": _beam,
    "greedy": _greedy,
    "sample": _sample,
    "exact": _exact,
    "exhaustive": _exhaustive,
    "mbr": _minimum_bayes_risk,
}
