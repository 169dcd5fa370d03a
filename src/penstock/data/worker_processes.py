"""Processes that prepare data: a JSON object in, one out, a line each.

They are processes of `python -m`, not of `multiprocessing`, which would run a user's script again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from types import FrameType
from typing import Any

from penstock.errors import DataError, PenstockError, UsageError

Job = Mapping[str, Any]


def cores() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_jobs(jobs: Sequence[Job], workers: int) -> Iterator[dict[str, Any]]:
    """The results of jobs, in order; a single one, or a single worker, runs in this process.

    Raises:
        PenstockError: a job failed, the first in order; a process died.
    """
    count = min(workers, len(jobs))
    if count < 2:
        yield from map(_run, jobs)
        return
    idle: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()
    processes = [_start() for _ in range(count)]
    for process in processes:
        idle.put(process)

    def ask(job: Job) -> dict[str, Any]:
        process = idle.get()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except OSError:
            answer = ""
        finally:
            idle.put(process)
        if not answer:
            raise PenstockError(
                f"a process that prepared data died ({process.wait()}); if memory ran out, lower "
                "data.workers; what is finished is kept"
            )
        return json.loads(answer)

    pool = ThreadPoolExecutor(count)
    try:
        for result in pool.map(ask, jobs):
            if "error" in result:
                raise (UsageError if result["code"] == 2 else DataError)(result["error"])
            yield result
    finally:
        for process in processes:
            process.terminate()
        pool.shutdown(cancel_futures=True)
        for process in processes:
            process.communicate()


def _start() -> subprocess.Popen[str]:
    # each on one core; this process ends them, at an interrupt too
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "penstock.data.worker_processes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment,
    )


def _run(job: Job) -> dict[str, Any]:
    from penstock.data.pair_shards import read_job
    from penstock.data.store import store_job

    return (read_job if job["do"] == "read" else store_job)(job)


def _end(_: int, __: FrameType | None) -> None:
    sys.exit(0)


def _serve() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)  # unwinds, which removes partial files
    for line in sys.stdin:
        try:
            answer = _run(json.loads(line))
        except PenstockError as error:
            answer = {"error": str(error), "code": error.exit_code}
        except (OSError, MemoryError) as error:
            answer = {"error": f"preparing data: {error or 'out of memory'}", "code": 1}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
