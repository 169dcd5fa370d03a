"""What waits for the inference thread: translations that may be joined, and anything else."""

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

# a text may take seconds, most of it work that texts do not share
_LONE = ("exact", "exhaustive", "mbr")

_DRAW = 4  # places of a beam that cost as much as a draw
_USUAL = SearchOptions()


@dataclass(eq=False, slots=True)
class Translating:
    """The texts of one request.

    Attributes:
        translator, texts, options: what is asked.
        future: gets the translations in order, or the first error.
        most: as how many texts it counts at most while it waits.
        begun: so many texts are being translated or are done; they are taken in order.
        results: what is there; None where nothing is.
        missing: results still to come.
    """

    translator: Translator
    texts: Sequence[str]
    options: SearchOptions
    future: asyncio.Future[list[Translation]]
    most: int
    begun: int = 0
    results: list[Translation | None] = field(init=False)
    missing: int = field(init=False)

    def __post_init__(self) -> None:
        self.results = [None] * len(self.texts)
        self.missing = len(self.texts)

    @property
    def weight(self) -> int:
        """As how many texts it counts in the queue."""
        return min(len(self.texts) - self.begun, self.most)

    def joins(self, other: Translating) -> bool:
        """Whether a search can have texts of both."""
        return self.translator is other.translator and (
            self.options is other.options or self.options == other.options
        )

    @property
    def most_together(self) -> int:
        """How many texts a search has at most."""
        return 1 if self.options.search in _LONE else self.options.batch


@dataclass(eq=False, slots=True)
class Calling:
    """A function that the thread computes in turn, with what tells it to stop."""

    function: Callable[[ShouldStop], Any]
    future: asyncio.Future[Any]
    weight: int = 1


Work = Translating | Calling
Taken = list[tuple[Translating, int]]  # texts that are searched together, by request and place


def widening(options: SearchOptions, config: SearchConfig, limit: int) -> float:
    """How many times as much a search has to do as the model's usual one; at least 1.

    Args:
        options: of the search.
        config: of the model.
        limit: the most source pieces that the model reads at once.
    """
    places = options.beam_size or config.beam_size
    if options.search == "sample":
        places = _DRAW * options.draws
    length = options.lengths(limit, config)[1] / _USUAL.lengths(limit, config)[1]
    return max(1.0, places / config.beam_size) * max(1.0, length)


def padded_size(pieces: Sequence[int], limit: int) -> int:
    """Source pieces, padded, of texts that are searched together; `limit` cuts long texts."""
    rows = sum(-(-count // limit) for count in pieces)
    return rows * min(max(pieces), limit)
