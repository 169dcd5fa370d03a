"""From source ids to hypotheses: one model or several, any search, in batches of like length."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from penstock.config import SearchConfig
from penstock.data.batches import pad
from penstock.metrics.consensus import expected_utilities
from penstock.runtime.decoder_step import decoding_step, start_decoding
from penstock.runtime.torch_engine import InferenceModel
from penstock.search import (
    Constraints,
    Hypothesis,
    Limits,
    OnResult,
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
from penstock.search.ensemble import EnsembleState, ensemble_step
from penstock.search.limits import NO_CONSTRAINTS
from penstock.special_tokens import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from penstock.tasks.translation.search_options import SearchOptions

Decode = Callable[[Sequence[int]], str]
TellPart = Callable[[int, Sequence[Hypothesis], float], None]


@dataclass(frozen=True, slots=True)
class Part:
    """A line, or as much of it as a model reads at once.

    Attributes:
        text: what it says.
        ids: for each model its pieces, EOS last.
        constraints: what its output must and must not contain.
        was_cut: pieces of it were left out.
    """

    text: str
    ids: tuple[list[int], ...]
    constraints: Constraints = NO_CONSTRAINTS
    was_cut: bool = False

    @property
    def size(self) -> int:
        """Pieces of the first model's source."""
        return len(self.ids[0])


def search_parts(
    models: Sequence[InferenceModel],
    weights: Sequence[float],
    parts: Sequence[Part],
    options: SearchOptions,
    config: SearchConfig,
    decode: Decode,
    *,
    tell: TellPart,
    trace: SearchTrace | None = None,
    should_stop: ShouldStop | None = None,
) -> None:
    """Search every part.

    Args:
        models: one, or several with one target vocabulary.
        weights: shares of the models, summing to 1.
        parts: in any order.
        options: how to search.
        config: where the options say nothing.
        decode: target ids to text, for searches that compare texts.
        tell: told each part's number, its hypotheses, and its share of the time that its batch
            took until then; of beam and greedy search as soon as its own search is done.
        trace: filled by a beam search; sentences are numbered within their batch.
        should_stop: cancels the search when it returns True.

    Raises:
        UsageError: an impossible option or demand; some parts may have been told before.
    """
    order = sorted(range(len(parts)), key=lambda i: parts[i].size)
    steps = [decoding_step(model) for model in models]
    step: Step[Any] = steps[0] if len(steps) == 1 else ensemble_step(steps, weights)
    for start in range(0, len(order), options.batch):
        rows = order[start : start + options.batch]
        telling = _Telling(tell, rows)
        batch = [parts[i] for i in rows]
        states = [_start(model, index, batch) for index, model in enumerate(models)]
        state: Any = states[0] if len(states) == 1 else EnsembleState(tuple(states))
        limits = limits_of(batch, options, config)
        found = _search(
            step, state, limits, batch, options, config, decode, telling, trace, should_stop
        )
        for row, hypotheses in enumerate(found):
            telling(row, hypotheses)


class _Telling:
    """Tells a batch's rows as parts, each once; nothing of a row that has no output yet."""

    def __init__(self, tell: TellPart, parts: Sequence[int]) -> None:
        self._tell, self._parts = tell, parts
        self._begun = time.perf_counter()
        self._told: set[int] = set()

    def __call__(self, row: int, found: Sequence[Hypothesis]) -> None:
        if found and row not in self._told:
            self._told.add(row)
            spent = (time.perf_counter() - self._begun) / len(self._parts)
            self._tell(self._parts[row], found, spent)


def _start(model: InferenceModel, index: int, batch: Sequence[Part]) -> Any:
    src, lengths = pad([part.ids[index] for part in batch])
    return start_decoding(model, src.to(model.device), lengths)


def limits_of(batch: Sequence[Part], options: SearchOptions, config: SearchConfig) -> Limits:
    """What the outputs of a batch may be."""
    lengths = [options.lengths(part.size, config) for part in batch]
    unknown = () if options.allow_unknown or options.replace_unknown else (UNK_ID,)
    return Limits(
        bos_id=BOS_ID,
        eos_id=EOS_ID,
        blocked=(PAD_ID, *unknown, BOS_ID),
        max_lengths=[most for _, most in lengths],
        min_lengths=[least for least, _ in lengths],
        constraints=[part.constraints for part in batch],
        no_repeat=options.no_repeat_ngram,
        source_lengths=[part.size for part in batch],
    )


def _search(
    step: Step[Any],
    state: Any,
    limits: Limits,
    batch: Sequence[Part],
    options: SearchOptions,
    config: SearchConfig,
    decode: Decode,
    on_result: OnResult,
    trace: SearchTrace | None,
    should_stop: ShouldStop | None,
) -> list[list[Hypothesis]]:
    ranking, size = options.ranking(config), options.beam(config)
    align = options.alignments or options.replace_unknown
    kind = options.search
    if kind == "greedy":
        every = greedy_search(
            step, state, limits, ranking=ranking, align=align, on_result=on_result,
            should_stop=should_stop,
        )  # fmt: skip
        return [[h] for h in every]
    if kind == "exact":
        return exact_search(
            step, state, limits, n_best=options.n_best, ranking=ranking, budget=options.budget,
            beam_size=size, align=align, should_stop=should_stop,
        )  # fmt: skip
    if kind == "exhaustive":
        return exhaustive_search(
            step, state, limits, n_best=options.n_best, ranking=ranking, align=align,
            should_stop=should_stop,
        )  # fmt: skip
    if kind == "sample" or (kind == "mbr" and options.mbr_from == "sample"):
        found = sample_search(
            step, state, limits, samples=options.draws, temperature=options.temperature,
            top_k=options.top_k, top_p=options.top_p, seed=options.seed,
            keys=[_key(part) for part in batch], ranking=ranking, align=align,
            should_stop=should_stop,
        )  # fmt: skip
    else:
        found = beam_search(
            step, state, limits, beam_size=size,
            n_best=size if kind == "mbr" else options.n_best, ranking=ranking,
            groups=options.groups, diversity=options.diversity, align=align,
            trace=trace, on_result=None if kind == "mbr" else on_result, should_stop=should_stop,
        )  # fmt: skip
    if kind != "mbr":
        return found
    ranked: list[list[Hypothesis]] = []
    for own in found:
        check_stop(should_stop)
        ranked.append(_agreeing(own, options, decode))
    return ranked


def _agreeing(
    candidates: Sequence[Hypothesis], options: SearchOptions, decode: Decode
) -> list[Hypothesis]:
    """The different candidates by expected utility, which becomes their score, best first."""
    texts = [decode(h.tokens) for h in candidates]
    values = expected_utilities(texts, options.utility)
    different: dict[str, Hypothesis] = {}
    for text, value, hypothesis in zip(texts, values, candidates, strict=True):
        scored = replace(hypothesis, score=value)
        before = different.get(text)
        if before is None or scored.log_probability > before.log_probability:
            different[text] = scored
    ranked = sorted(different.values(), key=lambda h: (-h.score, -h.log_probability, h.tokens))
    return ranked[: options.n_best]


def _key(part: Part) -> str:
    """What tells a part's random stream from another's: its text."""
    return hashlib.sha256(part.text.encode()).hexdigest()
