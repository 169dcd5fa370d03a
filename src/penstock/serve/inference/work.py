"""Work for the inference threads: translations, which can share batches, and function calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock.config import SearchConfig
from penstock.search import ShouldStop
from penstock.tasks.translation.result import Translation
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.translator import Translator

# searches that gain little from batches, while one text may take seconds
_UNBATCHED = ("exact", "exhaustive", "mbr")

_SLOTS_PER_SAMPLE = 4  # a sample costs as much as this many beam slots
_DEFAULT = SearchOptions()


@dataclass(eq=False, slots=True)
class TranslationWork:
    """The texts of one request.

    Attributes:
        translator, texts, options: the request.
        future: receives the translations in order, or the first error.
        max_weight: the most that it counts in the queue.
        started: number of texts that are being translated or done; they are started in order.
        results: one per text, None until it is done.
        missing: number of results still to come.
    """

    translator: Translator
    texts: Sequence[str]
    options: SearchOptions
    future: asyncio.Future[list[Translation]]
    max_weight: int
    started: int = 0
    results: list[Translation | None] = field(init=False)
    missing: int = field(init=False)

    def __post_init__(self) -> None:
        self.results = [None] * len(self.texts)
        self.missing = len(self.texts)

    @property
    def weight(self) -> int:
        """The number of texts that it counts for in the queue."""
        return min(len(self.texts) - self.started, self.max_weight)

    def can_join(self, other: TranslationWork) -> bool:
        """Whether both can share a batch."""
        return self.translator is other.translator and (
            self.options is other.options or self.options == other.options
        )

    @property
    def max_batch(self) -> int:
        """The maximum number of texts in a batch."""
        return 1 if self.options.search in _UNBATCHED else self.options.batch


@dataclass(eq=False, slots=True)
class CallWork:
    """A function to call in an inference thread; its argument tells it when to stop."""

    function: Callable[[ShouldStop], Any]
    future: asyncio.Future[Any]
    weight: int = 1


Work = TranslationWork | CallWork
Batch = list[tuple[TranslationWork, int]]  # requests, and the indices of their texts


def relative_cost(options: SearchOptions, config: SearchConfig, limit: int) -> float:
    """Estimate the cost of a search relative to the model's default search; at least 1.

    Args:
        options: of the search.
        config: of the model.
        limit: maximum number of source pieces that the model reads at once.
    """
    slots = options.beam_size or config.beam_size
    if options.search == "sample":
        slots = _SLOTS_PER_SAMPLE * options.draws
    length = options.lengths(limit, config)[1] / _DEFAULT.lengths(limit, config)[1]
    return max(1.0, slots / config.beam_size) * max(1.0, length)


def padded_size(pieces: Sequence[int], limit: int) -> int:
    """The source pieces of a batch, padding included; longer texts are split at `limit`."""
    rows = sum(-(-count // limit) for count in pieces)
    return rows * min(max(pieces), limit)
