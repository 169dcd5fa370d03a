"""One inference thread that all requests share, and the batches it makes of their texts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TypeVar

from penstock.searching import SearchOptions
from penstock.serve.metrics import Metrics
from penstock.serve.refusals import DeadlineError, QueueFullError
from penstock.serve.settings import Settings
from penstock.translation import Translation
from penstock.translator import Translator

__all__ = ["DeadlineError", "QueueFullError", "Worker"]

T = TypeVar("T")


class Worker:
    """The inference thread, seen from the event loop.

    All methods belong to one event loop. Cancelling a task that awaits one drops what of its work
    is not being computed yet.

    Args:
        settings: the limits of queue and batches.
        metrics: what is counted; default: new ones.
    """

    def __init__(self, settings: Settings, metrics: Metrics | None = None) -> None:
        self.metrics = metrics or Metrics()
        raise NotImplementedError

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
            texts: lines of one request.
            options: how to search; requests with equal ones share batches.
            deadline: seconds from now; None: none.

        Raises:
            QueueFullError: too many texts wait; with `retry_after`.
            NotReadyError: the service is about to end.
            DeadlineError: not done in time.
            UsageError: what was asked is impossible; other requests of the batch go on.
        """
        raise NotImplementedError

    async def call(
        self, function: Callable[[], T], *, deadline: float | None = None, texts: int = 1
    ) -> T:
        """Compute something else in the thread, in turn; as `translate` otherwise.

        Args:
            function: what to compute: `lambda: classifier.classify(lines)`.
            deadline: seconds from now.
            texts: as how many it counts in the queue.
        """
        raise NotImplementedError

    def stream(
        self, start: Callable[[], Iterator[str]], *, deadline: float | None = None
    ) -> AsyncIterator[str]:
        """Pieces of text as they are written, one piece a turn: others are served between.

        The queue's limit holds for the first piece; a stream that began goes on. Closing the
        async iterator closes the other one, in the thread.

        Args:
            start: makes the iterator, in the thread: `lambda: generator.generate(prompt, options)`.
            deadline: seconds for all pieces.
        """
        raise NotImplementedError

    @property
    def waiting(self) -> int:
        """Texts that wait."""
        raise NotImplementedError

    async def drain(self) -> None:
        """Take no more work and return when all that was taken is done."""
        raise NotImplementedError

    async def close(self, *, drain: bool = True) -> None:
        """End the thread, after what was taken is done, or without."""
        raise NotImplementedError
