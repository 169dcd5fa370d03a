"""What a request costs before it runs, in seconds of one inference thread, from measured speed.

A request does so many units of work, such as source pieces times hypotheses. Each model's seconds
per unit are measured whenever it has worked, separately for each kind of work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from weakref import WeakKeyDictionary

from penstock.config import SearchConfig
from penstock.tasks.translation.search_options import SearchOptions
from penstock.text import Tokenizer

_SLOTS_PER_SAMPLE = 4  # a sample costs as much as this many beam slots
_EXTENDED_PER_PIECE = 50  # partial hypotheses of an exact search
_DEFAULT = SearchOptions()
_GUESS = 2e-5  # s per unit, before anything is measured
_KEPT = 0.9  # of what is known, per measurement
_SHORT = 2_000  # characters that take less than a millisecond to tokenize
_COUNTER = ThreadPoolExecutor(1, "pieces")  # one thread: small requests need the others


@dataclass(frozen=True, slots=True)
class Cost:
    """Units of one kind of work with one model."""

    model: object
    kind: str
    units: float


class Speeds:
    """Measured speeds. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._measured: WeakKeyDictionary[object, dict[str, tuple[float, float]]] = (
            WeakKeyDictionary()
        )
        self._latest: dict[str, float] = {}

    def record(self, cost: Cost, seconds: float) -> None:
        """Record how long some work took; larger amounts count more."""
        with self._lock:
            of_model = self._measured.setdefault(cost.model, {})
            before, units = of_model.get(cost.kind, (0.0, 0.0))
            total = (_KEPT * before + seconds, _KEPT * units + max(cost.units, 1.0))
            of_model[cost.kind] = total
            self._latest[cost.kind] = total[0] / total[1]

    def doubt(self, cost: Cost) -> None:
        """Lower an estimate by which work was rejected: only work that is done corrects it."""
        with self._lock:
            of_model = self._measured.get(cost.model, {})
            if cost.kind in of_model:
                spent, units = of_model[cost.kind]
                of_model[cost.kind] = (_KEPT * spent, units)

    def seconds(self, cost: Cost) -> float:
        """Estimate how long some work takes; a model of which nothing is known is like others."""
        with self._lock:
            spent, units = self._measured.get(cost.model, {}).get(cost.kind, (0.0, 0.0))
            per_unit = spent / units if units else self._latest.get(cost.kind, _GUESS)
        return per_unit * cost.units


async def count_pieces(tokenizer: Tokenizer, texts: Sequence[str]) -> list[int]:
    """The number of pieces of each text, EOS included, without holding up the event loop.

    Long requests take turns in a thread of their own, a little at a time.
    """

    def count(some: Sequence[str]) -> list[int]:
        try:
            return [len(ids) + 1 for ids in tokenizer.encode_batch(some)]
        except Exception:  # noqa: BLE001 (a text that cannot be encoded fails later, by itself)
            return [len(text) + 1 for text in some]

    if sum(map(len, texts)) <= _SHORT:
        return count(texts)
    loop = asyncio.get_running_loop()
    counts: list[int] = []
    some: list[str] = []
    for number, text in enumerate(texts, start=1):
        some.append(text)
        if number == len(texts) or sum(map(len, some)) >= _SHORT:
            counts += await loop.run_in_executor(_COUNTER, count, some)
            some = []
    return counts


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
    return max(1.0, slots / config.beam_size) * max(1.0, _length(options, config, limit))


def units_per_piece(options: SearchOptions, config: SearchConfig, limit: int) -> float:
    """How many hypotheses a search extends per source piece, with arguments as above."""
    hypotheses = float(options.beam_size or config.beam_size)
    if options.search == "greedy":
        hypotheses = 1.0
    elif options.draws_samples:
        hypotheses = float(options.draws)
    elif options.search == "exact":
        hypotheses = options.budget / _EXTENDED_PER_PIECE
    return hypotheses * max(1.0, _length(options, config, limit))


def _length(options: SearchOptions, config: SearchConfig, limit: int) -> float:
    """The longest output relative to the model's default."""
    return options.lengths(limit, config)[1] / _DEFAULT.lengths(limit, config)[1]
