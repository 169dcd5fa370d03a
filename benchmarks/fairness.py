"""How long small requests wait while others ask for much.

    python benchmarks/fairness.py --seconds 20

Starts `penstock serve` with the demo model and a cloze model that it trains for a moment. One
client sends a sentence at a time, alone and beside four clients in turn that send, each again and
again, a request that would take seconds or minutes. All have the same address, so only costs tell
them apart; with `--addresses` each has its own.

A small request must not wait longer than twice its usual time plus one batch (50 such sentences).
Besides wall time, this is measured in processor time of the service between question and answer,
divided by its inference threads while they are busy: what the wait would be on an idle machine.
Exit status 1 if any wait is longer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from penstock.data.grammar import generate_pairs
from service import Connection, Server, served

_ROUNDS, _PARALLEL = 3, 2
SENTENCE = "The old man sees a small dog in the garden."
LONG = "The woman reads a book about the sea, and her brother writes a letter to a friend. "
_CLOZE = """
task = "cloze"
threads = 1
[data]
train = "lines.txt"
[text.source]
kind = "word"
[model]
embedding_size = 128
hidden_size = 256
[training]
max_updates = 20
evaluate_sentences = 2
"""


def costly(texts: int = 20, characters: int = 4800) -> dict[str, tuple[str, bytes]]:
    """Requests that take long: path and body."""
    long = (LONG * 60)[:characters]
    bodies: dict[str, tuple[str, object]] = {
        "fill, 20 × 1,200 blanks": ("/v1/fill", {"texts": ["___ " * 1200] * texts}),
        "fill, 100 blanks": ("/v1/fill", {"texts": ["the ___ " * 100]}),
        "mbr": ("/v1/translate", {"texts": [long] * 25, "search": "mbr"}),
        "one mbr": ("/v1/translate", {"texts": long, "search": "mbr"}),
        "beam 16": ("/v1/translate", {"texts": [long] * 25, "beam_size": 16}),
        "one beam 16": ("/v1/translate", {"texts": [long] * 2, "beam_size": 16}),
    }
    return {name: (path, json.dumps(body).encode()) for name, (path, body) in bodies.items()}


@dataclass(frozen=True)
class Wait:
    """Of one answer: wall seconds, and processor seconds of the service."""

    wall: float
    processor: float


async def _small(server: Server, until: float, *, texts: int = 1) -> list[Wait]:
    """The waits of a client that sends so many sentences at a time."""
    connection = Connection(server.port)
    body = json.dumps({"texts": [SENTENCE] * texts}).encode()
    waits: list[Wait] = []
    while time.monotonic() < until:
        begun, spent = time.monotonic(), processor_seconds(server)
        status, content = await connection.post("/v1/translate", body)
        if status != 200:
            print(f"    a small request got {status}: {content.decode()}")
        waits.append(Wait(time.monotonic() - begun, processor_seconds(server) - spent))
        await asyncio.sleep(0.02)
    connection.close()
    return waits


def processor_seconds(server: Server) -> float:
    """What the service has computed so far, on all of its threads."""
    return time.clock_gettime(~server.process.pid << 3 | 2)  # as clock_getcpuclockid(3) makes it


async def _large(
    port: int, until: float, number: int, answers: dict[str, Counter[int]], *, own_address: bool
) -> None:
    requests = list(costly().items())
    connection = Connection(port, f"127.0.0.{number + 2}" if own_address else None)
    while time.monotonic() < until:
        name, (path, body) = requests[number % len(requests)]
        number += 1
        status, _ = await connection.post(path, body)
        answers.setdefault(name, Counter())[status] += 1
        await asyncio.sleep(0.1)
    connection.close()


async def measure(server: Server, seconds: float, *, clients: int, own_addresses: bool) -> bool:
    """Print the small requests' waits alone and beside the large ones; whether all were short."""
    await _small(server, time.monotonic() + 3)
    until, ignored = time.monotonic() + 3, dict[str, Counter[int]]()
    await asyncio.gather(  # libraries compile for shapes that they have not seen
        *(_large(server.port, until, n, ignored, own_address=own_addresses) for n in range(6))
    )
    alone, beside, batches = list[Wait](), list[Wait](), list[Wait]()
    answers: dict[str, Counter[int]] = {}
    for _ in range(_ROUNDS):
        alone += await _small(server, time.monotonic() + seconds / _ROUNDS)
        batches += await _small(server, time.monotonic() + 1, texts=50)
        until = time.monotonic() + seconds / _ROUNDS
        small = asyncio.create_task(_small(server, until))
        await asyncio.gather(
            *(
                _large(server.port, until, number, answers, own_address=own_addresses)
                for number in range(clients)
            )
        )
        beside += await small
    for what, waits in (("alone", alone), ("beside", beside)):
        print(f"{what}: {len(waits)} answers, {_times([wait.wall for wait in waits])}")
    for name, statuses in answers.items():
        print(f"    {name}: {_listed(statuses)}")
    usual = median(wait.processor for wait in alone)
    batch = median(wait.processor for wait in batches)
    spent = [wait.processor / _PARALLEL for wait in beside]
    bound = 2 * usual + batch
    print(
        f"processor time: usually {1e3 * usual:.1f} ms, a batch {1e3 * batch:.1f} ms; beside, per "
        f"inference thread: {_times(spent)}; the longest is {max(spent) / bound:.2f} of twice the "
        f"usual time and a batch"
    )
    return max(spent) <= bound


def _times(seconds: Sequence[float]) -> str:
    ordered = [1e3 * each for each in sorted(seconds)]
    late = ordered[int(0.99 * (len(ordered) - 1))]
    return (
        f"median {median(ordered):.0f} ms, 99th percentile {late:.0f} ms, longest "
        f"{ordered[-1]:.0f} ms"
    )


def _listed(statuses: Mapping[int, int]) -> str:
    return ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items()))


def main() -> None:
    """Start the service and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--clients", type=int, default=4, help="that send large requests")
    parser.add_argument("--addresses", action="store_true", help="each client has its own")
    parser.add_argument("--model", "-m", default="demo")
    parser.add_argument("--engine", default="auto")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [pair.source for pair in generate_pairs(500, seed=1)]
        (folder / "lines.txt").write_text("\n".join(lines), encoding="utf-8")
        (folder / "cloze.toml").write_text(_CLOZE, encoding="utf-8")
        penstock = str(Path(sys.executable).with_name("penstock"))
        subprocess.run(
            [penstock, "train", "cloze.toml", "--out", "cloze"],
            cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
        options = ["-m", str(folder / "cloze"), "--engine", arguments.engine]
        options += ["--parallel", str(_PARALLEL)]
        with served(arguments.model, options, folder / "log") as server:
            short = asyncio.run(
                measure(
                    server, arguments.seconds, clients=arguments.clients,
                    own_addresses=arguments.addresses,
                )
            )  # fmt: skip
    if not short:
        sys.exit(1)


if __name__ == "__main__":
    main()
