"""Work for the inference threads: translations, which can share batches, and function calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock.config import SearchConfig
from penstock.search import ShouldStop
from penstock.serve.inference.cost import Cost, units_per_piece
from penstock.serve.inference.fair_shares import Share
from penstock.tasks.translation.result import Translation
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.translator import Translator

# searches that gain little from batches, while one text may take seconds
_UNBATCHED = ("exact", "exhaustive", "mbr")


@dataclass(eq=False, slots=True)
class TranslationWork:
    """The texts of one request.

    Attributes:
        translator, texts, options: the request.
        pieces: of each text.
        share: what the request gets.
        future: receives the translations in order, or the first error.
        max_weight: the most that it counts in the queue.
        started: number of texts that are being translated or done; they are started in order.
        results: one per text, None until it is done.
        missing: number of results still to come.
    """

    translator: Translator
    texts: Sequence[str]
    options: SearchOptions
    pieces: Sequence[int]
    share: Share
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
    """A function to call in an inference thread; its argument tells it when to stop.

    Attributes:
        function: gets what tells it.
        share: what the request gets.
        future: receives the function's result or error.
        cost: of the call; None: unknown.
        weight: the number of texts that it counts for in the queue.
    """

    function: Callable[[ShouldStop], Any]
    share: Share
    future: asyncio.Future[Any]
    cost: Cost | None = None
    weight: int = 1


Work = TranslationWork | CallWork
Batch = list[tuple[TranslationWork, int]]  # requests, and the indices of their texts


def translation_cost(translator: Translator, options: SearchOptions, pieces: Sequence[int]) -> Cost:
    """The cost of translating texts of so many pieces."""
    config = translator.bundle.config
    each = units_per_piece(options, config.search, config.data.max_source_tokens)
    return Cost(translator, options.search, each * sum(pieces))


def in_small_steps(options: SearchOptions, config: SearchConfig) -> SearchOptions:
    """Limit the hypotheses of a step to those of a usual batch: others wait for each step."""
    most = SearchOptions().batch * config.beam_size
    batch = max(1, min(options.batch, most // options.rows(config)))
    return options if batch == options.batch else options.changed(batch=batch)


def padded_size(pieces: Sequence[int], limit: int) -> int:
    """The source pieces of a batch, padding included; longer texts are split at `limit`."""
    rows = sum(-(-count // limit) for count in pieces)
    return rows * min(max(pieces), limit)
