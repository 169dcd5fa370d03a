"""The inference threads that all requests share, and the batches they make of their texts."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from penstock.search import SearchStoppedError, ShouldStop
from penstock.serve.inference.batch import Outcome, deliver, translate_batch
from penstock.serve.inference.freed_memory import Trimmer
from penstock.serve.inference.queue import WorkQueue
from penstock.serve.inference.work import Calling, Taken, Translating, Work
from penstock.serve.prometheus import Metrics
from penstock.serve.service_errors import DeadlineError, NotReadyError, QueueFullError
from penstock.serve.settings import Settings
from penstock.tasks.translation.result import Translation
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.translator import Translator

T = TypeVar("T")
_PATIENCE = 5.0  # s that the end of the service waits for what is being computed


class Worker:
    """The inference threads, seen from the event loop.

    All methods belong to one event loop. Cancelling a task that awaits one drops what of its work
    is not being computed yet; a search that nobody waits for any more ends at its next step.

    Args:
        settings: the limits of queue and batches.
        metrics: what is counted; default: new ones.
    """

    def __init__(self, settings: Settings, metrics: Metrics | None = None) -> None:
        self.metrics = metrics or Metrics()
        self._most = settings.max_texts
        self._queue = WorkQueue(settings)
        self._unfinished: set[Work] = set()
        self._is_done = asyncio.Event()
        self._trimmer = Trimmer()
        self._threads = [
            threading.Thread(target=self._run, name=f"inference {number}", daemon=True)
            for number in range(settings.parallel)
        ]
        for thread in self._threads:
            thread.start()

    async def translate(
        self,
        translator: Translator,
        texts: Sequence[str],
        options: SearchOptions,
        *,
        deadline: float | None = None,
    ) -> list[Translation]:
        """Translate texts, one result each, in order.

        Args:
            translator: of `Serving`.
            texts: of one request; as its lines they count in the queue as `max_texts` at most.
            options: how to search; requests with equal ones share batches.
            deadline: seconds from now; None: none.

        Raises:
            QueueFullError: too many texts wait; with `retry_after`.
            NotReadyError: the service is about to end.
            DeadlineError: not done in time.
            UsageError: what was asked is impossible; other requests of the batch go on.
        """
        if not texts:
            return []
        future: asyncio.Future[list[Translation]] = asyncio.get_running_loop().create_future()
        work = Translating(translator, texts, options, future, self._most)
        return await self._done(work, future, deadline)

    async def call(
        self, function: Callable[[ShouldStop], T], *, deadline: float | None = None, texts: int = 1
    ) -> T:
        """Compute something else in a thread, in turn; as `translate` otherwise.

        Args:
            function: what to compute: `lambda stop: filler.fill(lines, should_stop=stop)`.
            deadline: seconds from now.
            texts: as how many it counts in the queue.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        work = Calling(function, future, min(texts, self._most))
        return await self._done(work, future, deadline)

    async def stream(
        self, start: Callable[[], Iterator[str]], *, deadline: float | None = None
    ) -> AsyncIterator[str]:
        """Pieces of text as they are written, one piece a turn: others are served between.

        The queue's limit holds for the start; a stream that began goes on. Closing the async
        iterator closes the other one, in a thread.

        Args:
            start: makes the iterator, in a thread: `lambda: generator.generate(prompt, options)`.
            deadline: seconds for all pieces.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        pieces = _Pieces(await self.call(lambda _: start(), deadline=deadline))
        try:
            while True:
                rest = None if deadline is None else max(0.0, begun + deadline - loop.time())
                future: asyncio.Future[str | None] = loop.create_future()
                turn = Calling(lambda _: pieces.next(), future, 0)
                piece = await self._done(turn, future, rest, is_part=True)
                if piece is None:
                    return
                yield piece
        finally:
            self._close_later(pieces)

    @property
    def waiting(self) -> int:
        """Texts that wait."""
        return self._queue.waiting

    async def drain(self) -> None:
        """Take no more work and return when all that was taken is done."""
        self._queue.refuse()
        while self._unfinished:
            self._is_done.clear()
            await self._is_done.wait()

    async def close(self, *, drain: bool = True) -> None:
        """End the threads, after what was taken is done, or at once with what is being computed."""
        if drain:
            await self.drain()
        for work in self._queue.close():
            _fail(work, NotReadyError("the service ends; ask another one, or later"))
        for thread in self._threads:
            await asyncio.to_thread(thread.join, None if drain else _PATIENCE)

    async def _done(
        self,
        work: Work,
        future: asyncio.Future[T],
        deadline: float | None,
        *,
        is_part: bool = False,
    ) -> T:
        """The work's result, in time; the work is dropped when nobody waits for it any more."""
        try:
            self._queue.put(work, is_part=is_part)
        except QueueFullError:
            self.metrics.count_refusal("queue_full")
            raise
        self._unfinished.add(work)
        try:
            async with asyncio.timeout(deadline):
                return await future
        except TimeoutError:
            self.metrics.count_refusal("deadline")
            raise DeadlineError(
                f"not done within {deadline:.3g} s; ask for less at once, or later"
            ) from None
        except asyncio.CancelledError:
            self.metrics.count_refusal("gone")
            raise
        finally:
            self._queue.drop(work)
            self._unfinished.discard(work)
            if not self._unfinished:
                self._is_done.set()

    def _close_later(self, pieces: _Pieces) -> None:
        """Let a thread close an iterator that may be running; nobody waits for this."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put(Calling(lambda _: pieces.close(), future, 0), is_part=True)
        except NotReadyError:
            return  # the threads have ended

    # --- in a thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        while (work := self._queue.take()) is not None:
            if isinstance(work, Calling):
                self._compute(work)
            else:
                self._translate(work)
            del work  # or its texts would stay until the next
            self._trimmer.trim_if_due()

    def _compute(self, work: Calling) -> None:
        if work.future.done():
            return
        try:
            result = work.function(work.future.done)
        except SearchStoppedError:
            return
        except Exception as error:  # noqa: BLE001 (who asked gets it, the thread goes on)
            _in_loop(work.future, _fail, work, error)
        else:
            _in_loop(work.future, _give, work, result)

    def _translate(self, taken: Taken) -> None:
        begun = time.monotonic()
        done: list[Translation] = []
        left = len(taken)

        def tell(number: int, outcome: Outcome) -> None:
            """A text's answer goes out while others of its batch are still searched."""
            nonlocal left
            if isinstance(outcome, Translation):
                done.append(outcome)
            left -= 1
            self._queue.note_done(1)
            work, place = taken[number]
            _in_loop(work.future, deliver, work, place, outcome, self._queue)

        def is_unwanted() -> bool:
            return all(work.future.done() for work, _ in taken)

        # what is left of requests that nobody waits for was dropped when they ended
        with suppress(SearchStoppedError):
            translate_batch(taken, tell, is_unwanted)
        self._queue.note_done(left)
        seconds = time.monotonic() - begun
        self._queue.note_speed(len(taken), seconds)
        self.metrics.count_batch(done, seconds)


class _Pieces:
    """An iterator that is closed by one thread while another may still be in it."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces = pieces
        self._held = threading.Lock()

    def next(self) -> str | None:
        with self._held:
            return next(self._pieces, None)

    def close(self) -> None:
        close = getattr(self._pieces, "close", None)
        if close is not None:
            with self._held:
                close()


def _in_loop(future: asyncio.Future[Any], function: Callable[..., None], *arguments: Any) -> None:
    """Call a function in the event loop of a future."""
    try:
        future.get_loop().call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        return  # the loop has ended, and nobody waits


def _give(work: Calling, result: Any) -> None:
    if not work.future.done():
        work.future.set_result(result)


def _fail(work: Work, error: Exception) -> None:
    if not work.future.done():
        work.future.set_exception(error)
