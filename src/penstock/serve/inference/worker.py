"""The inference threads that all requests share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

from penstock.search import SearchStoppedError, ShouldStop
from penstock.serve.inference.batch import Outcome, deliver, translate_batch
from penstock.serve.inference.cost import Cost, Speeds, count_pieces
from penstock.serve.inference.fair_shares import Share
from penstock.serve.inference.freed_memory import Trimmer
from penstock.serve.inference.piece_iterator import PieceIterator
from penstock.serve.inference.queue import WorkQueue
from penstock.serve.inference.running import Running
from penstock.serve.inference.work import (
    Batch,
    CallWork,
    TranslationWork,
    Work,
    in_small_steps,
    translation_cost,
)
from penstock.serve.prometheus import Metrics
from penstock.serve.service_errors import (
    DeadlineError,
    NotReadyError,
    OverBudgetError,
    QueueFullError,
    UnavailableError,
)
from penstock.serve.settings import Settings
from penstock.tasks.translation.result import Translation
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.translator import Translator

T = TypeVar("T")
_PATIENCE = 5.0  # seconds that a shutdown waits for running computations


class Worker:
    """The inference threads as seen from one event loop, in which all methods run.

    Cancelling a task that awaits a method drops its queued work; a running search with no waiting
    client stops at its next step.

    Args:
        settings: the limits of queue and batches.
        metrics: default: new ones.
    """

    def __init__(self, settings: Settings, metrics: Metrics | None = None) -> None:
        self.metrics = metrics or Metrics()
        self._max_weight = settings.max_texts
        self._queue = WorkQueue(settings)
        self._speeds = Speeds()
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
        client: str = "",
        deadline: float | None = None,
    ) -> list[Translation]:
        """Translate the texts of one request, in order.

        Args:
            translator: one of the `ServedModels`.
            texts: they count for at most `max_texts` in the queue.
            options: how to search; requests with equal options share batches.
            client: whose share of the threads it takes.
            deadline: seconds from now; None for no deadline.

        Raises:
            OverBudgetError: the client asks for more than its share.
            QueueFullError: the queue is full.
            NotReadyError: the service is shutting down.
            DeadlineError: the deadline has passed.
            UsageError: impossible options; other requests of the batch are not affected.
        """
        if not texts:
            return []
        options = in_small_steps(options, translator.bundle.config.search)
        pieces = await count_pieces(translator.bundle.source_tokenizer, texts)
        cost = translation_cost(translator, options, pieces)
        future: asyncio.Future[list[Translation]] = asyncio.get_running_loop().create_future()
        with self._admitted(client, cost, deadline) as share:
            work = TranslationWork(
                translator, texts, options, pieces, share, future, self._max_weight
            )
            return await self._result(work, future, deadline)

    async def call(
        self,
        function: Callable[[ShouldStop], T],
        *,
        cost: Cost | None = None,
        client: str = "",
        deadline: float | None = None,
        texts: int = 1,
    ) -> T:
        """Call a function in an inference thread; errors as for `translate`.

        Args:
            function: for example `lambda stop: filler.fill(lines, should_stop=stop)`.
            cost: default: unknown.
            client: whose share of the threads it takes.
            deadline: seconds from now.
            texts: number of texts that it counts for in the queue.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._admitted(client, cost, deadline) as share:
            work = CallWork(function, share, future, cost, min(texts, self._max_weight))
            return await self._result(work, future, deadline)

    async def stream(
        self,
        start: Callable[[], Iterator[str]],
        *,
        cost: Cost | None = None,
        client: str = "",
        deadline: float | None = None,
    ) -> AsyncIterator[str]:
        """Stream generated text piece by piece, yielding to other requests after each.

        Only the start of a stream may be rejected by a full queue. Closing the async iterator
        closes the generator in a thread.

        Args:
            start: makes the generator: `lambda: generator.generate(prompt, options)`.
            cost: its units are pieces; default: unknown.
            client: whose share of the threads it takes.
            deadline: seconds for all pieces.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        piece_cost = None if cost is None else replace(cost, units=1)
        with self._admitted(client, cost, deadline, is_stream=True) as share:
            future: asyncio.Future[Any] = loop.create_future()
            beginning = CallWork(lambda _: start(), share, future)
            pieces = PieceIterator(await self._result(beginning, future, deadline))
            try:
                while True:
                    rest = None if deadline is None else max(0.0, begun + deadline - loop.time())
                    future = loop.create_future()
                    turn = CallWork(lambda _: pieces.next(), share, future, piece_cost, 0)
                    piece: str | None = await self._result(turn, future, rest, continues=True)
                    if piece is None:
                        return
                    yield piece
            finally:
                self._close_later(pieces, share)

    @property
    def waiting(self) -> int:
        """The number of queued texts."""
        return self._queue.waiting

    async def drain(self) -> None:
        """Reject new work, and wait until all accepted work is done."""
        self._queue.stop_accepting()
        while self._unfinished:
            self._is_done.clear()
            await self._is_done.wait()

    async def close(self, *, drain: bool = True) -> None:
        """Stop the threads; with `drain`, after all accepted work is done."""
        if drain:
            await self.drain()
        for work in self._queue.close():
            _fail(work, NotReadyError("the service is shutting down; try another one, or later"))
        for thread in self._threads:
            await asyncio.to_thread(thread.join, None if drain else _PATIENCE)

    @contextmanager
    def _admitted(
        self, client: str, cost: Cost | None, deadline: float | None, *, is_stream: bool = False
    ) -> Generator[Share]:
        """What a request gets until it is answered."""
        seconds = 0.0 if cost is None else self._speeds.seconds(cost)
        try:
            share = self._queue.admit(client, cost=seconds, deadline=deadline, is_stream=is_stream)
        except UnavailableError as error:
            is_own = isinstance(error, OverBudgetError)
            if cost is not None and is_own:
                self._speeds.doubt(cost)
            self.metrics.count_rejection("over_budget" if is_own else "queue_full")
            raise
        try:
            yield share
        finally:
            self._queue.release(share)

    async def _result(
        self,
        work: Work,
        future: asyncio.Future[T],
        deadline: float | None,
        *,
        continues: bool = False,
    ) -> T:
        """Wait for the work's result; the work is dropped at the deadline or on cancellation."""
        try:
            self._queue.put(work, continues=continues)
        except QueueFullError:
            self.metrics.count_rejection("queue_full")
            raise
        self._unfinished.add(work)
        try:
            async with asyncio.timeout(deadline):
                return await future
        except TimeoutError:
            self.metrics.count_rejection("deadline")
            raise DeadlineError(
                f"not done within {deadline:.3g} s; send less at a time, or try again later"
            ) from None
        except asyncio.CancelledError:
            self.metrics.count_rejection("gone")
            raise
        finally:
            self._queue.drop(work)
            self._unfinished.discard(work)
            if not self._unfinished:
                self._is_done.set()

    def _close_later(self, pieces: PieceIterator, share: Share) -> None:
        """Let a thread close an iterator that may be running, without waiting for it."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        with suppress(NotReadyError):  # the threads have ended
            self._queue.put(
                CallWork(lambda _: pieces.close(), share, future, weight=0), continues=True
            )

    # --- in a thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        while (work := self._queue.take()) is not None:
            self._do(work)
            del work  # or its texts would stay until the next
            self._trimmer.trim_if_due()

    def _do(self, work: Batch | CallWork) -> None:
        if isinstance(work, CallWork):
            self._compute(work)
        else:
            self._translate(work)

    def _compute(self, work: CallWork) -> None:
        if work.future.done():
            return
        running = Running([(work.share, 1.0)], self._estimate(work.cost))
        try:
            result = work.function(self._interrupts(running, work.future.done))
        except SearchStoppedError:
            self._note(running, work.cost, is_done=False)
        except Exception as error:  # noqa: BLE001 (the request gets it, the thread continues)
            self._note(running, work.cost, is_done=False)
            _in_loop(work.future, _fail, work, error)
        else:
            self._note(running, work.cost, is_done=True)
            _in_loop(work.future, _complete, work, result)

    def _translate(self, batch: Batch) -> None:
        first = batch[0][0]
        sizes = [work.pieces[index] for work, index in batch]
        cost = translation_cost(first.translator, first.options, sizes)
        shares = [work.share for work, _ in batch]
        running = Running(list(zip(shares, sizes, strict=True)), self._estimate(cost))
        done: list[Translation] = []
        last: list[tuple[int, Outcome]] = []

        def on_result(number: int, outcome: Outcome) -> None:
            """Deliver a text's result while others of its batch are still searched."""
            nonlocal left
            left -= 1
            if isinstance(outcome, Translation):
                done.append(outcome)
            if left:
                deliver_one(number, outcome)
            else:
                last.append((number, outcome))

        def deliver_one(number: int, outcome: Outcome) -> None:
            self._queue.finish(1)
            work, index = batch[number]
            _in_loop(work.future, deliver, work, index, outcome, self._queue)

        def is_abandoned() -> bool:
            return all(work.future.done() for work, _ in batch)

        left = len(batch)
        # the queued rest of abandoned requests was dropped when they ended
        with suppress(SearchStoppedError):
            translate_batch(batch, on_result, self._interrupts(running, is_abandoned))
        self._note(running, cost, is_done=len(done) == len(batch))
        self.metrics.count_batch(done, running.seconds)
        # the last answer goes out when nothing is left to do: two threads would share the lock
        for number, outcome in last:
            deliver_one(number, outcome)
        self._queue.finish(left)

    def _estimate(self, cost: Cost | None) -> float:
        return 0.0 if cost is None else self._speeds.seconds(cost)

    def _interrupts(self, running: Running, is_abandoned: ShouldStop) -> ShouldStop:
        """Between two steps, compute what should be done before; return whether to stop."""

        def should_stop() -> bool:
            if running.is_due and not is_abandoned():
                self._queue.charge(running.pause())
                urgent = self._queue.take_before(running)
                if urgent is not None:
                    self._do(urgent)
                running.resume()
            return is_abandoned()

        return should_stop

    def _note(self, running: Running, cost: Cost | None, *, is_done: bool) -> None:
        """Record how long something took, which of what was not done is a lower bound."""
        self._queue.charge(running.pause())
        if cost is not None and (is_done or running.seconds > self._estimate(cost)):
            self._speeds.record(cost, running.seconds)


def _in_loop(future: asyncio.Future[Any], function: Callable[..., None], *arguments: Any) -> None:
    """Call a function in the event loop of a future."""
    with suppress(RuntimeError):  # the loop has ended
        future.get_loop().call_soon_threadsafe(function, *arguments)


def _complete(work: CallWork, result: Any) -> None:
    if not work.future.done():
        work.future.set_result(result)


def _fail(work: Work, error: Exception) -> None:
    if not work.future.done():
        work.future.set_exception(error)
