"""Processes of this machine that translate shards, each with models of its own."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any

from penstock.bulk.shard_translation import ShardReport, failure, shard_translator
from penstock.bulk.shards import Shard
from penstock.errors import PenstockError
from penstock.tasks.translation.translation_job import TranslationJob

_END_SECONDS = 10.0
_TRIES = 2  # a shard that ends its process twice is given up
_REMEDY = "is there enough memory? Try fewer --processes or a smaller --batch"


def translate_in_processes(
    job: TranslationJob, shards: Sequence[Shard], processes: int
) -> Iterator[ShardReport]:
    """Translate shards; yield a report on each as it is done.

    A process that dies is replaced, and its shard translated once more.

    Args:
        job: what is done to each shard.
        shards: in the order in which they are begun.
        processes: how many; 1 is this process.
    """
    if processes == 1:
        yield from map(shard_translator(job), shards)
        return
    if job.engine == "torch" and job.threads is None:
        job = replace(job, threads=1)  # torch would take all cores for each
    waiting = deque((shard, 1) for shard in shards)
    deaths = 0
    workers: list[_Worker] = []
    try:
        while waiting or workers:
            while waiting and len(workers) < processes:
                workers.append(_Worker(job, *waiting.popleft()))
            for connection in wait([worker.connection for worker in workers]):
                worker = next(each for each in workers if each.connection is connection)
                report = worker.take()
                if report is not None:
                    deaths = 0
                    yield report
                    if waiting:
                        worker.give(*waiting.popleft())
                        continue
                workers.remove(worker)
                fate = worker.end()
                if report is not None:
                    continue
                deaths += 1
                if deaths > _TRIES * processes:
                    raise PenstockError(
                        f"{deaths} processes in a row died before a shard was translated, the last "
                        f"{fate}; {_REMEDY}"
                    )
                if worker.tries < _TRIES:
                    waiting.appendleft((worker.shard, worker.tries + 1))
                else:
                    yield _lost(worker.shard, fate)
    finally:
        for worker in workers:
            worker.end()


def _lost(shard: Shard, fate: str) -> ShardReport:
    """The report on a shard whose process died."""
    return ShardReport(
        shard=shard.name,
        problem=f"{shard.shown}: the process that translated it {fate}, twice; {_REMEDY}",
    )


class _Worker:
    """A process, and the shard that it works on."""

    def __init__(self, job: TranslationJob, shard: Shard, tries: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self._process = context.Process(target=_work, args=(job, other), daemon=True)
        self._process.start()
        other.close()  # the process has it: its end is then seen here
        self.give(shard, tries)

    def give(self, shard: Shard, tries: int) -> None:
        self.shard, self.tries, self._works = shard, tries, True
        with suppress(OSError):  # it has died: `take` will tell
            self.connection.send(shard)

    def take(self) -> ShardReport | None:
        """The report on the shard; None: the process has died."""
        self._works = False
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            return None

    def end(self) -> str:
        """End the process; return how it ended."""
        self.connection.close()
        if self._works:
            self._process.terminate()
        self._process.join(_END_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        code = self._process.exitcode or 0
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with status {code}"


def _leave(*_: object) -> None:
    sys.exit(1)


def _work(job: TranslationJob, connection: Connection[Any, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process hears it, and ends this one
    signal.signal(signal.SIGTERM, _leave)  # removes what is half written
    translate = None
    with suppress(EOFError, OSError):
        while True:
            shard: Shard = connection.recv()
            try:
                translate = translate or shard_translator(job)
            except (PenstockError, OSError, MemoryError) as error:
                connection.send(failure(shard, error))
            else:
                connection.send(translate(shard))
