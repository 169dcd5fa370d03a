"""From source ids to hypotheses: one model or several, any search, in batches of like length."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.config import SearchConfig
from penstock.data.batches import pad
from penstock.runtime.decoder_step import decoding_step, start_decoding
from penstock.runtime.torch_engine import InferenceModel
from penstock.search import (
    Constraints,
    Hypothesis,
    Limits,
    SearchTrace,
    ShouldStop,
    Step,
)
from penstock.search.ensemble import EnsembleState, ensemble_step
from penstock.search.limits import NO_CONSTRAINTS
from penstock.special_tokens import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.search_table import Decode, SearchRequest, search_of

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
        UsageError: an impossible option or constraint; some parts may have been told before.
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
        request = SearchRequest(
            step, state, limits_of(batch, options, config), options, config,
            texts=[part.text for part in batch], decode=decode, on_result=telling, trace=trace,
            should_stop=should_stop,
        )  # fmt: skip
        found = search_of(options.search)(request)
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
