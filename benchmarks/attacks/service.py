"""Requests to a running service: by its schema, by hand, slow, silent, costly, and many at once."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from random import Random

from attacks import connections
from attacks.hostile_requests import costly, extreme, malformed
from attacks.random_models import save_models
from attacks.schema import schema_trials
from attacks.trial import HANG_SECONDS, Trial

MORE_MEMORY = 400  # MB that a service may grow beyond what it has when it says that it is ready
_PORT = re.compile(r"serving .* on http://127\.0\.0\.1:(\d+)")


@dataclass
class Target:
    """A service under attack.

    Attributes:
        port: on 127.0.0.1.
        process: its own; None if it runs in this one.
    """

    port: int
    process: subprocess.Popen[bytes] | None = None

    @cached_property
    def small(self) -> bytes:
        """The body of a small translation."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/models") as answer:
            pair = json.load(answer)["pairs"][0]
        names = {name: pair[name] for name in ("source", "target")}
        return json.dumps({"texts": "A dog sees them.", **names}).encode()

    @property
    def resident(self) -> float:
        """Resident memory in MB."""
        if self.process is None:
            return 0.0
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else 0.0


def attack(folder: Path, random: Random) -> Generator[Trial]:
    """Attack a service of the demo model and a small random one of each other task."""
    save_models(folder)
    with _served(folder) as target:
        yield from trials(target, random)


def trials(target: Target, random: Random) -> Generator[Trial]:
    """All attacks on a service in turn."""
    bound = target.resident + MORE_MEMORY
    schema = schema_trials(target.port, random)
    slow = connections.SlowClients(target.port, random)
    kinds = [
        (30, partial(_next, schema)),
        (30, partial(_of_bytes, target, malformed, random)),
        (30, partial(_of_bytes, target, extreme, random)),
        (6, slow.step),
        (2, partial(_costly, target, random)),
        (1, partial(connections.flood, target.port, target.small, random)),
    ]
    try:
        for number in range(1, sys.maxsize):
            (kind,) = random.choices([k for _, k in kinds], [weight for weight, _ in kinds])
            yield from kind()
            if number % 20 == 0:
                yield _health(target, bound)
    finally:
        slow.close()


def _next(trials: Iterator[Trial]) -> Iterator[Trial]:
    trial = next(trials, None)
    return iter(() if trial is None else (trial,))


def _of_bytes(target: Target, make: connections.Maker, random: Random) -> Iterator[Trial]:
    what, content = make(random)
    yield Trial(what, connections.exchange(target.port, content, random))


def _costly(target: Target, random: Random) -> Iterator[Trial]:
    """A small request is answered beside large ones, which may be abandoned."""
    large = [costly(random) for _ in range(random.randint(1, 6))]
    opened = [connections.opened(target.port, content) for _, content in large]
    status = connections.status_of(target.port, "/v1/translate", target.small)
    for each in opened:
        each.close()
    what = f"a small request beside {', '.join(name for name, _ in large)}"
    yield Trial(what, "" if status == 200 else f"status {status}")


def _health(target: Target, bound: float) -> Trial:
    if target.process is not None and target.process.poll() is not None:
        return Trial("health", f"the service ended with {target.process.returncode}")
    if target.resident > bound:
        return Trial("memory", f"{target.resident:.0f} MB; at most {bound:.0f}")
    status = connections.status_of(target.port, "/health", None)
    return Trial("health", "" if status == 200 else f"status {status}")


@contextmanager
def _served(folder: Path) -> Generator[Target]:
    command = [
        str(Path(sys.executable).with_name("penstock")),
        "serve",
        "--port",
        "0",
        "-m",
        "demo",
    ]
    for model in sorted(folder.iterdir()):
        command += ["-m", str(model)]
    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stderr=stream)
        try:
            yield Target(_port(process, log), process)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    until = time.monotonic() + 8 * HANG_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if found := _PORT.search(log.read_text(encoding="utf-8")):
            return int(found[1])
        time.sleep(0.1)
    raise SystemExit(f"the service did not start:\n{log.read_text(encoding='utf-8')}")
