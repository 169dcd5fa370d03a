"""From source ids to hypotheses: one model or several, any search, in batches of like length."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from penstock.config import SearchConfig
from penstock.runtime.decoder_engine import SearchingEngine, TranslationEngine
from penstock.runtime.engine import require_numbers
from penstock.search import (
    Hypothesis,
    Limits,
    SearchTrace,
    ShouldStop,
    Step,
)
from penstock.search.ensemble import EnsembleState, ensemble_step
from penstock.search.step import Ints, StepOutput
from penstock.special_tokens import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.search_table import Decode, SearchRequest, search_of
from penstock.tasks.translation.segmentation import Segment

_ROWS = 8_192  # hypotheses of a batch, at most: each has a number per token of the vocabulary
OnSegment = Callable[[int, Sequence[Hypothesis], float], None]


def search_segments(
    engines: Sequence[TranslationEngine],
    weights: Sequence[float],
    segments: Sequence[Segment],
    options: SearchOptions,
    config: SearchConfig,
    decode: Decode,
    *,
    on_result: OnSegment,
    trace: SearchTrace | None = None,
    should_stop: ShouldStop | None = None,
) -> None:
    """Search every segment.

    Args:
        engines: one, or several with one target vocabulary.
        weights: shares of the engines, summing to 1.
        segments: in any order.
        options: how to search.
        config: where the options say nothing.
        decode: target ids to text, for searches that compare texts.
        on_result: called with each segment's number, its hypotheses, and its share of the time that
            its batch took until then; in beam and greedy search as soon as its own search is done.
        trace: filled by a beam search; sentences are numbered within their batch.
        should_stop: cancels the search when it returns True.

    Raises:
        UsageError: an impossible option or constraint; some segments may have been reported before.
    """
    order = sorted(range(len(segments)), key=lambda i: segments[i].size)
    steps = [_checked(engine.step) for engine in engines]
    step: Step[Any] = steps[0] if len(steps) == 1 else ensemble_step(steps, weights)
    able = [engine for engine in engines if isinstance(engine, SearchingEngine) and engine.searches]
    searching = able[0] if len(engines) == len(able) == 1 else None
    size = max(1, min(options.batch, _ROWS // options.rows(config)))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        report = _Report(on_result, rows)
        batch = [segments[i] for i in rows]
        states = [
            engine.start([segment.ids[index] for segment in batch])
            for index, engine in enumerate(engines)
        ]
        state: Any = states[0] if len(states) == 1 else EnsembleState(tuple(states))
        request = SearchRequest(
            step, state, limits_of(batch, options, config), options, config,
            texts=[segment.text for segment in batch], decode=decode, on_result=report, trace=trace,
            should_stop=should_stop, engine=searching,
        )  # fmt: skip
        found = search_of(options.search)(request)
        for row, hypotheses in enumerate(found):
            report(row, hypotheses)


def _checked(step: Step[Any]) -> Step[Any]:
    """A step whose outputs are numbers."""

    def checked(tokens: Ints, state: Any, /, *, top: int) -> StepOutput[Any]:
        output = step(tokens, state, top=top)
        # the softmax spreads a NaN over its row: of all tokens, one column is enough
        log_probs = output.log_probs
        require_numbers(log_probs[:, :1] if output.ids is None else log_probs)
        return output

    return checked


class _Report:
    """Reports a batch's rows as segments, each once; nothing of a row that has no output yet."""

    def __init__(self, on_result: OnSegment, segments: Sequence[int]) -> None:
        self._on_result, self._segments = on_result, segments
        self._begun = time.perf_counter()
        self._reported: set[int] = set()

    def __call__(self, row: int, found: Sequence[Hypothesis]) -> None:
        if found and row not in self._reported:
            self._reported.add(row)
            spent = (time.perf_counter() - self._begun) / len(self._segments)
            self._on_result(self._segments[row], found, spent)


def limits_of(batch: Sequence[Segment], options: SearchOptions, config: SearchConfig) -> Limits:
    """What the outputs of a batch may be."""
    lengths = [options.lengths(segment.size, config) for segment in batch]
    unknown = () if options.allow_unknown or options.replace_unknown else (UNK_ID,)
    return Limits(
        bos_id=BOS_ID,
        eos_id=EOS_ID,
        blocked=(PAD_ID, *unknown, BOS_ID),
        max_lengths=[most for _, most in lengths],
        min_lengths=[least for least, _ in lengths],
        constraints=[segment.constraints for segment in batch],
        no_repeat=options.no_repeat_ngram,
        source_lengths=[segment.size for segment in batch],
    )
