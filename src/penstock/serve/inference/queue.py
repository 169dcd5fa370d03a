"""The queue between the event loop and the inference threads.

Requests with the same translator and equal options share batches. A batch takes texts round-robin
over the requests until it is full; a request with texts left goes to the end of the queue. So a
request of 50 texts delays a single text by no more than the batch being computed, and batches with
other options before it.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque

from penstock.serve.inference.work import (
    Batch,
    CallWork,
    TranslationWork,
    Work,
    padded_size,
    relative_cost,
)
from penstock.serve.service_errors import NotReadyError, QueueFullError
from penstock.serve.settings import Settings

_RECENT = 10  # times `max_wait`: clients that were answered longer ago are not expected back
_MOST_COST = 4.0  # relative cost above which a text is searched alone
_RETRY_AT_MOST = 60.0  # s


class WorkQueue:
    """A bounded queue, first come first served among requests that cannot share a batch.

    An idle thread waits for a batch to fill only if it expects more requests: as many as the last
    batch answered, since their clients tend to return at about the same time. The first waits at
    most `max_wait` for the others. So a single client never waits, and the first of 64 simultaneous
    clients is not computed alone while 63 arrive. A thread that was busy takes what has arrived
    meanwhile without waiting.

    Args:
        settings: `queue`, `batch_tokens`, `max_wait`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._changed = threading.Condition(threading.Lock())
        self._turn = threading.Lock()  # held by the thread that takes work
        self._works: deque[Work] = deque()
        self._waiting = 0
        self._computing = 0
        self._expected = 1
        self._wake_at = 1  # queue length that wakes the thread
        self._texts_per_second = math.inf
        self._is_open = True
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """The number of queued texts."""
        return self._waiting

    def put(self, work: Work, *, continues: bool = False) -> None:
        """Add work; work that continues an accepted request is never rejected.

        Raises:
            QueueFullError: the queue is full.
            NotReadyError: the queue accepts no more work.
        """
        with self._changed:
            if self._is_closed or not (self._is_open or continues):
                raise NotReadyError("the service is shutting down; try another one, or later")
            if self._waiting + work.weight > self._settings.queue and not continues:
                raise QueueFullError(
                    f"{self._waiting} of at most {self._settings.queue} texts are queued; try "
                    "again later",
                    retry_after=self._retry_after(),
                )
            if self._waiting / self._rate > self._settings.deadline and not continues:
                raise QueueFullError(
                    f"{self._waiting} texts are queued, which takes longer than a request may; try "
                    "again later",
                    retry_after=self._retry_after(),
                )
            self._works.append(work)
            self._waiting += work.weight
            if len(self._works) >= self._wake_at:
                self._changed.notify()

    def drop(self, work: Work) -> None:
        """Remove what has not been started of a request's work."""
        with self._changed:
            if work in self._works:
                self._works.remove(work)
                self._waiting -= work.weight

    def stop_accepting(self) -> None:
        """Reject new work; accepted work stays."""
        with self._changed:
            self._is_open = False

    def close(self) -> list[Work]:
        """Make `take` return None, and return the work that is left."""
        with self._changed:
            self._is_open, self._is_closed = False, True
            left = list(self._works)
            self._works.clear()
            self._waiting = 0
            self._changed.notify()
            return left

    def finish(self, texts: int) -> None:
        """Record that `texts` texts are no longer being computed."""
        with self._changed:
            self._computing -= texts

    def record_speed(self, texts: int, seconds: float) -> None:
        """Update the estimated speed, on which `retry_after` depends."""
        rate = texts / max(seconds, 1e-6)
        known = self._texts_per_second
        self._texts_per_second = rate if known == math.inf else 0.8 * known + 0.2 * rate

    def take(self) -> Batch | CallWork | None:
        """Wait for work and take what is computed next; None when the queue is closed."""
        with self._turn:
            return self._take()

    def _take(self) -> Batch | CallWork | None:
        while True:
            with self._changed:
                self._wait()
                if self._is_closed:
                    return None
                first = self._works[0]
                if isinstance(first, CallWork):
                    self._works.popleft()
                    self._waiting -= first.weight
                    self._expected = 1
                    return first
                candidates = self._candidates(first)
            # tokenization takes a while: the event loop must not wait for it
            count = _count_fitting(candidates, self._settings.batch_tokens)
            with self._changed:
                batch = self._start(candidates[:count])
            if batch:  # otherwise all requests were dropped meanwhile
                return batch

    def _wait(self) -> None:
        if self._works or self._is_closed:
            return
        idle_since = time.monotonic()
        while not (self._works or self._is_closed):
            self._changed.wait()
        begun = time.monotonic()
        most = self._settings.max_wait
        if self._expected == 1 or begun - idle_since > _RECENT * most:
            return
        self._wake_at = self._expected
        until = begun + most
        while not self._is_closed and len(self._works) < self._expected:
            if not self._changed.wait(until - time.monotonic()):
                break
        self._wake_at = 1
        while not (self._works or self._is_closed):  # all were dropped
            self._changed.wait()

    def _candidates(self, first: TranslationWork) -> Batch:
        """Select texts that can share a batch with the first, round-robin over requests."""
        # a thread that took more than its share would leave the others too little
        share = math.ceil((self._waiting + self._computing) / self._settings.parallel)
        most = min(first.max_batch, share)
        joined: list[TranslationWork] = []
        for work in self._works:
            if isinstance(work, TranslationWork) and work.can_join(first):
                joined.append(work)
                if len(joined) == most:
                    break
        found: Batch = []
        turn = 0
        while joined and len(found) < most:
            found += [(work, work.started + turn) for work in joined]
            turn += 1
            joined = [work for work in joined if work.started + turn < len(work.texts)]
        return found[:most]

    def _start(self, chosen: Batch) -> Batch:
        """Mark the chosen texts as started, and return those whose request was not dropped."""
        kept = {work for work, _ in chosen if work in self._works}
        batch = [(work, index) for work, index in chosen if work in kept]
        for work in kept:
            self._waiting -= work.weight
        for work, index in batch:
            work.started = index + 1
        for work in dict.fromkeys(work for work, _ in batch):
            self._works.remove(work)
            if work.started < len(work.texts):
                self._works.append(work)
                self._waiting += work.weight
        self._expected = max(1, len(kept))
        self._computing += len(batch)
        return batch

    def _retry_after(self) -> float:
        return min(max(1.0, self._waiting / self._rate), _RETRY_AT_MOST)

    @property
    def _rate(self) -> float:
        """Recent texts per second of all threads."""
        return self._texts_per_second * self._settings.parallel


def _count_fitting(candidates: Batch, budget: int) -> int:
    """Count how many candidates, from the first on, fit in a batch; at least one.

    The more a search costs relative to the model's default, the fewer fit; very expensive ones are
    batched alone, as other requests wait for each batch to end.
    """
    if len(candidates) == 1:
        return 1
    bundle = candidates[0][0].translator.bundle
    limit = bundle.config.data.max_source_tokens
    cost = relative_cost(candidates[0][0].options, bundle.config.search, limit)
    if cost > _MOST_COST:
        return 1
    texts = [work.texts[index] for work, index in candidates]
    try:
        pieces = [len(ids) + 1 for ids in bundle.source_tokenizer.encode_batch(texts)]
    except Exception:  # noqa: BLE001 (a text that cannot be encoded fails later, by itself)
        pieces = [len(text) + 1 for text in texts]
    count = len(pieces)
    while count > 1 and padded_size(pieces[:count], limit) > budget / cost:
        count -= 1
    return count
