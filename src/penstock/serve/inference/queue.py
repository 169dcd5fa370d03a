"""The work that waits, shared by the event loop and the inference threads.

Texts of different requests are searched together when translator and options are equal. A batch
takes one text of each such request in turn, then a second of each, and so on, until it is full;
a request with texts left goes behind the others. So a request of 50 texts never keeps a single one
waiting for longer than the batch that is being computed and those of other options before it.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque

from penstock.serve.inference.work import Calling, Taken, Translating, Work, padded_size, widening
from penstock.serve.service_errors import NotReadyError, QueueFullError
from penstock.serve.settings import Settings

_RECENT = 10  # times `max_wait`: who was answered longer ago is not expected back
_WIDEST = 4.0  # times as much to do as usual: more, and a text is searched alone
_RETRY_AT_MOST = 60.0  # s


class WorkQueue:
    """Bounded, first come first served among requests that cannot be joined.

    An idle thread waits for a batch to fill only for those it expects: as many requests as the
    last batch answered, who, when they ask again, ask at about the same time. The first of them
    waits at most `max_wait` for the others. A single client answers to itself and never waits; of
    64 that ask again at once, the first does not go alone while 63 arrive. When the thread was
    busy what came meanwhile is taken at once.

    Args:
        settings: `queue`, `batch_tokens`, `max_wait`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._changed = threading.Condition(threading.Lock())
        self._turn = threading.Lock()  # one thread at a time looks for work
        self._works: deque[Work] = deque()
        self._waiting = 0
        self._computing = 0
        self._expected = 1
        self._wanted = 1  # works that wake the thread
        self._texts_a_second = math.inf
        self._is_open = True
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """Texts that wait."""
        return self._waiting

    def put(self, work: Work, *, is_part: bool = False) -> None:
        """Add work; what is part of work already taken is not refused.

        Raises:
            QueueFullError: it does not fit.
            NotReadyError: no more work is taken.
        """
        with self._changed:
            if self._is_closed or not (self._is_open or is_part):
                raise NotReadyError("the service is about to end; ask another one, or later")
            if self._waiting + work.weight > self._settings.queue and not is_part:
                raise QueueFullError(
                    f"{self._waiting} texts wait, and {self._settings.queue} may; try again later",
                    retry_after=self._retry_after(),
                )
            if self._waiting / self._rate > self._settings.deadline and not is_part:
                raise QueueFullError(
                    f"{self._waiting} texts wait, for longer than a request may take; try again "
                    "later",
                    retry_after=self._retry_after(),
                )
            self._works.append(work)
            self._waiting += work.weight
            if len(self._works) >= self._wanted:
                self._changed.notify()

    def drop(self, work: Work) -> None:
        """Forget what of a work is not being computed."""
        with self._changed:
            if work in self._works:
                self._works.remove(work)
                self._waiting -= work.weight

    def refuse(self) -> None:
        """Take no more work; what was taken stays."""
        with self._changed:
            self._is_open = False

    def close(self) -> list[Work]:
        """End `take`; the work that is left."""
        with self._changed:
            self._is_open, self._is_closed = False, True
            left = list(self._works)
            self._works.clear()
            self._waiting = 0
            self._changed.notify()
            return left

    def note_done(self, texts: int) -> None:
        """Tell that so many texts are not computed any more."""
        with self._changed:
            self._computing -= texts

    def note_speed(self, texts: int, seconds: float) -> None:
        """Tell how fast texts were done, for `retry_after`."""
        rate = texts / max(seconds, 1e-6)
        known = self._texts_a_second
        self._texts_a_second = rate if known == math.inf else 0.8 * known + 0.2 * rate

    def take(self) -> Taken | Calling | None:
        """Wait for work and take what is computed next; None when the queue is closed."""
        with self._turn:
            return self._take()

    def _take(self) -> Taken | Calling | None:
        while True:
            with self._changed:
                self._wait()
                if self._is_closed:
                    return None
                first = self._works[0]
                if isinstance(first, Calling):
                    self._works.popleft()
                    self._waiting -= first.weight
                    self._expected = 1
                    return first
                candidates = self._candidates(first)
            # cutting texts into pieces takes a while: the event loop does not wait for it
            count = _fitting(candidates, self._settings.batch_tokens)
            with self._changed:
                taken = self._begin(candidates[:count])
            if taken:  # else all were dropped meanwhile
                return taken

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
        self._wanted = self._expected
        until = begun + most
        while not self._is_closed and len(self._works) < self._expected:
            if not self._changed.wait(until - time.monotonic()):
                break
        self._wanted = 1
        while not (self._works or self._is_closed):  # all were dropped
            self._changed.wait()

    def _candidates(self, first: Translating) -> Taken:
        """Texts that may be searched with the first one's, one of each request in turn."""
        # its share: a thread that took all would leave crumbs to the others
        share = math.ceil((self._waiting + self._computing) / self._settings.parallel)
        most = min(first.most_together, share)
        joined: list[Translating] = []
        for work in self._works:
            if isinstance(work, Translating) and work.joins(first):
                joined.append(work)
                if len(joined) == most:
                    break
        found: Taken = []
        turn = 0
        while joined and len(found) < most:
            found += [(work, work.begun + turn) for work in joined]
            turn += 1
            joined = [work for work in joined if work.begun + turn < len(work.texts)]
        return found[:most]

    def _begin(self, chosen: Taken) -> Taken:
        """Take the chosen texts whose request was not dropped."""
        taken: Taken = []
        works = dict.fromkeys(work for work, _ in chosen)
        kept = {work for work in works if work in self._works}
        for work in kept:
            self._waiting -= work.weight
        for work, place in chosen:
            if work in kept:
                work.begun = place + 1
                taken.append((work, place))
        for work in works:
            if work in kept:
                self._works.remove(work)
                if work.begun < len(work.texts):
                    self._works.append(work)
                    self._waiting += work.weight
        self._expected = max(1, len(kept))
        self._computing += len(taken)
        return taken

    def _retry_after(self) -> float:
        return min(max(1.0, self._waiting / self._rate), _RETRY_AT_MOST)

    @property
    def _rate(self) -> float:
        """Texts a second of all threads, as of late."""
        return self._texts_a_second * self._settings.parallel


def _fitting(candidates: Taken, budget: int) -> int:
    """How many of the candidates, from the first on, a search has room for; at least one.

    A search that is wider or writes more than the model's usual one has room for fewer; one with
    very much more to do takes a text a turn, as others wait for each turn to end.
    """
    if len(candidates) == 1:
        return 1
    bundle = candidates[0][0].translator.bundle
    limit = bundle.config.data.max_source_tokens
    more = widening(candidates[0][0].options, bundle.config.search, limit)
    if more > _WIDEST:
        return 1
    room = budget / more
    texts = [work.texts[place] for work, place in candidates]
    try:
        pieces = [len(ids) + 1 for ids in bundle.source_tokenizer.encode_batch(texts)]
    except Exception:  # noqa: BLE001 (a text that cannot be cut fails later, by itself)
        pieces = [len(text) + 1 for text in texts]
    count = len(pieces)
    while count > 1 and padded_size(pieces[:count], limit) > room:
        count -= 1
    return count
