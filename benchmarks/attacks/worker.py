"""Run command lines in a process of their own, one after another, and see how each ends.

The parent talks to it by JSON lines. A command that hangs or crashes takes the process with it; the
next one gets a new process.
"""

from __future__ import annotations

import faulthandler
import io
import json
import os
import resource
import select
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from attacks.trial import HANG_SECONDS

PEAK_MEGABYTES = 1024  # that one command may add to the process
_BUSY = 30  # how much longer a command may take than it computes
_LIMIT_BYTES = 6 * 2**30  # address space: a runaway must not take the machine with it


@dataclass(frozen=True)
class Ending:
    """How a command ended.

    Attributes:
        code: its exit status; None if the process died or was killed.
        out, err: what it printed.
        broke: a traceback, a crash, a hang or too much memory, in one line; empty if none.
    """

    code: int | None
    out: str
    err: str
    broke: str


class Worker:
    """A process that runs command lines of `penstock`.

    Args:
        folder: where the commands run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stop()

    def run(
        self,
        arguments: Sequence[str | Path],
        stdin: bytes = b"",
        *,
        seconds: float = HANG_SECONDS,
    ) -> Ending:
        """Run one command line; it hangs if it computes for more than `seconds`."""
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        request = {"arguments": [str(a) for a in arguments], "stdin": stdin.hex()}
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        if not _answers(process, seconds):
            self._stop()
            return Ending(None, "", "", f"hangs: no end within {seconds} s of computing")
        answer = process.stdout.readline()
        if not answer:
            self._stop()
            return Ending(None, "", "", f"crashed: status {process.returncode}")
        found = json.loads(answer)
        broke = found["traceback"]
        if not broke and found["megabytes"] > PEAK_MEGABYTES:
            broke = f"took {found['megabytes']:,} MB"
        if not broke and "not enough memory" in found["err"]:
            broke = "ran out of memory before it said why"
        if broke:
            self._stop()
        return Ending(found["code"], found["out"], found["err"], broke)

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
            "OMP_NUM_THREADS": "1",
            "XDG_CACHE_HOME": str(self._folder / ".cache"),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "attacks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            env=environment,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it has imported what it needs
        return self._process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _answers(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for an answer: so many seconds of computing, or many more on a busy machine."""
    begun, before = time.monotonic(), _cpu_seconds(process.pid)
    while time.monotonic() - begun < _BUSY * seconds:
        if select.select([process.stdout], [], [], 0.5)[0]:
            return True
        if _cpu_seconds(process.pid) - before > seconds:
            break
    return False


def _cpu_seconds(pid: int) -> float:
    """Processor time of a process, user and system; 0 where /proc does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _run_one(request: dict[str, list[str] | str]) -> dict[str, object]:
    from penstock.cli.app import run

    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace") for _ in range(2)]
    sys.stdin = io.TextIOWrapper(io.BytesIO(bytes.fromhex(str(request["stdin"]))), "utf-8")
    sys.stdout, sys.stderr = streams
    before, code, trace = _peak_megabytes(), None, ""
    try:
        code = run(list(request["arguments"]))
    except BaseException as error:  # noqa: BLE001 (what reaches the top is what we look for)
        last = traceback.extract_tb(error.__traceback__)[-1]
        trace = f"{type(error).__name__}: {error} ({last.filename}:{last.lineno})"[:500]
    finally:
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    out, err = (s.buffer.getvalue().decode("utf-8", "replace") for s in _flushed(streams))
    return {
        "code": code,
        "out": out,
        "err": err,
        "traceback": trace,
        "megabytes": _peak_megabytes() - before,
    }


def _flushed(streams: list[io.TextIOWrapper]) -> list[io.TextIOWrapper]:
    for stream in streams:
        stream.flush()
    return streams


def main() -> None:
    """Answer requests until the parent goes."""
    import torch  # every command that uses or trains a model

    torch.set_num_threads(1)
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (_LIMIT_BYTES, _LIMIT_BYTES))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    answers.write(b"ready\n")
    answers.flush()
    for line in sys.stdin.buffer:
        answers.write(json.dumps(_run_one(json.loads(line))).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
