"""The queue between the event loop and the inference threads.

Requests with the same translator and equal options share batches. The next batch begins with the
request that `FairShares` says, and takes texts round-robin over the requests until it is full. So a
request of 50 texts delays a single text by no more than the batch being computed, and a batch that
takes long gives way to smaller requests between its steps.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from penstock.serve.inference.cost import relative_cost
from penstock.serve.inference.fair_shares import FairShares, Share
from penstock.serve.inference.running import Running
from penstock.serve.inference.work import Batch, CallWork, TranslationWork, Work, padded_size
from penstock.serve.service_errors import NotReadyError, QueueFullError
from penstock.serve.settings import Settings

_RECENT = 10  # times `max_wait`: clients that were answered longer ago are not expected back
_MOST_COST = 4.0  # relative cost above which a text is searched alone
_SMALLER = 0.5  # share of what is left of a batch that gives way


class WorkQueue:
    """A bounded queue.

    An idle thread waits for a batch to fill only if it expects more requests: as many as the last
    batch answered, since their clients tend to return at about the same time. The first waits at
    most `max_wait` for the others. So a single client never waits, and the first of 64 simultaneous
    clients is not computed alone while 63 arrive. A thread that was busy takes what has arrived
    meanwhile without waiting. Of several idle threads the last one that worked is woken, and only
    that one: its caches are warm.

    Args:
        settings: `queue`, `batch_tokens`, `max_wait`, `parallel`, `deadline`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._idle: list[threading.Condition] = []  # threads without work, the last to work last
        self._woken = 0  # of these, on their way to the queue
        self._gatherer: threading.Condition | None = None  # waits for a batch to fill
        self._idle_since = 0.0  # when a thread last found no work
        self._shares = FairShares(parallel=settings.parallel, deadline=settings.deadline)
        self._works: list[Work] = []
        self._waiting = 0
        self._computing = 0
        self._expected = 1
        self._is_open = True
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """The number of queued texts."""
        return self._waiting

    def admit(
        self, client: str, *, cost: float, deadline: float | None, is_stream: bool = False
    ) -> Share:
        """Give a request its share (see `FairShares.admit`)."""
        with self._lock:
            return self._shares.admit(client, cost=cost, deadline=deadline, is_stream=is_stream)

    def release(self, share: Share) -> None:
        """Forget a request that is answered."""
        with self._lock:
            self._shares.release(share)

    def charge(self, shares: list[tuple[Share, float]]) -> None:
        """Record how many seconds requests had."""
        with self._lock:
            for share, seconds in shares:
                self._shares.charge(share, seconds)

    def put(self, work: Work, *, continues: bool = False) -> None:
        """Add work; work that continues an accepted request is never rejected.

        Raises:
            QueueFullError: the queue is full, and the client has its share of it.
            NotReadyError: the queue accepts no more work.
        """
        client, most = work.share.client, self._settings.queue
        with self._lock:
            if self._is_closed or not (self._is_open or continues):
                raise NotReadyError("the service is shutting down; try another one, or later")
            if (
                self._waiting + work.weight > most
                and not continues
                and client.texts + work.weight > self._shares.texts_of(client, most)
            ):
                raise QueueFullError(
                    f"{self._waiting} of at most {most} texts are queued; try again later",
                    retry_after=self._shares.retry_after(),
                )
            self._works.append(work)
            self._count(work, work.weight)
            self._wake()

    def drop(self, work: Work) -> None:
        """Remove what has not been started of a request's work."""
        with self._lock:
            if work in self._works:
                self._remove(work)

    def stop_accepting(self) -> None:
        """Reject new work; accepted work stays."""
        with self._lock:
            self._is_open = False

    def close(self) -> list[Work]:
        """Make `take` return None, and return the work that is left."""
        with self._lock:
            self._is_open, self._is_closed = False, True
            left = list(self._works)
            for work in left:
                self._remove(work)
            while self._idle:
                self._wake_idle()
            if self._gatherer is not None:
                self._gatherer.notify()
            return left

    def finish(self, texts: int) -> None:
        """Record that `texts` texts are no longer being computed."""
        with self._lock:
            self._computing -= texts

    def take(self) -> Batch | CallWork | None:
        """Wait for work and take what is computed next; None when the queue is closed."""
        with self._lock:
            while not self._is_closed and (not self._works or self._gatherer is not None):
                self._rest()
            if self._is_closed:
                return None
            taken = self._take(min(self._works, key=_finish))
            if self._works:
                self._wake()
            return taken

    def take_before(self, running: Running) -> Batch | CallWork | None:
        """Take work that is much smaller than what is left of a batch and should finish before it.

        None if there is none, or another thread is about to take it.
        """
        if not self._works:
            return None
        with self._lock:
            if not self._works or self._is_closed or self._woken or self._gatherer is not None:
                return None
            first = min(self._works, key=_finish)
            is_small = first.share.left <= _SMALLER * running.left
            is_next = is_small and first.share.finish < running.finish
            return self._take(first) if is_next else None

    def _take(self, first: Work) -> Batch | CallWork:
        if isinstance(first, CallWork):
            self._remove(first)
            self._expected = 1
            return first
        candidates = self._candidates(first)
        return self._start(candidates[: _count_fitting(candidates, self._settings.batch_tokens)])

    def _rest(self) -> None:
        """Wait until there is work, and for a batch to fill."""
        if not self._works:
            self._idle_since = time.monotonic()
        own = threading.Condition(self._lock)
        self._idle.append(own)
        own.wait()
        self._woken -= 1
        if self._works and self._gatherer is None:
            self._gather(own)

    def _gather(self, own: threading.Condition) -> None:
        begun, most = time.monotonic(), self._settings.max_wait
        if self._expected == 1 or begun - self._idle_since > _RECENT * most:
            return
        self._gatherer = own
        until = begun + most
        while not self._is_closed and len(self._works) < self._expected:
            if not own.wait(until - time.monotonic()):
                break
        self._gatherer = None

    def _wake(self) -> None:
        """Tell a thread that there is work."""
        if self._gatherer is None:
            self._wake_idle()
        elif len(self._works) >= self._expected:
            self._gatherer.notify()

    def _wake_idle(self) -> None:
        if self._idle:
            self._woken += 1
            self._idle.pop().notify()

    def _candidates(self, first: TranslationWork) -> Batch:
        """Select texts that can share a batch with the first, round-robin over requests."""
        # a thread that took more than its share would leave the others too little
        share = math.ceil((self._waiting + self._computing) / self._settings.parallel)
        most = min(first.max_batch, share)
        joined = [
            work for work in self._works
            if isinstance(work, TranslationWork) and work.can_join(first)
        ]  # fmt: skip
        joined = sorted(joined, key=_finish)[:most]
        found: Batch = []
        turn = 0
        while joined and len(found) < most:
            found += [(work, work.started + turn) for work in joined]
            turn += 1
            joined = [work for work in joined if work.started + turn < len(work.texts)]
        return found[:most]

    def _start(self, batch: Batch) -> Batch:
        """Mark texts as started."""
        works = dict.fromkeys(work for work, _ in batch)
        for work in works:
            self._remove(work)
        for work, index in batch:
            work.started = index + 1
        for work in works:
            if work.started < len(work.texts):
                self._works.append(work)
                self._count(work, work.weight)
        self._expected = max(1, len(works))
        self._computing += len(batch)
        return batch

    def _remove(self, work: Work) -> None:
        self._works.remove(work)
        self._count(work, -work.weight)

    def _count(self, work: Work, weight: int) -> None:
        self._waiting += weight
        work.share.client.texts += weight


_finish: Callable[[Work], float] = lambda work: work.share.finish  # noqa: E731


def _count_fitting(candidates: Batch, budget: int) -> int:
    """Count how many candidates, from the first on, fit in a batch; at least one.

    The more a search costs relative to the model's default, the fewer fit; very expensive ones are
    batched alone, as other requests wait for each batch to end.
    """
    if len(candidates) == 1:
        return 1
    first = candidates[0][0]
    config = first.translator.bundle.config
    limit = config.data.max_source_tokens
    cost = relative_cost(first.options, config.search, limit)
    if cost > _MOST_COST:
        return 1
    pieces = [work.pieces[index] for work, index in candidates]
    count = len(pieces)
    while count > 1 and padded_size(pieces[:count], limit) > budget / cost:
        count -= 1
    return count
