"""How long small requests wait while others ask for much.

    python benchmarks/fairness.py --seconds 20

Starts `penstock serve` with the demo model and a cloze model that it trains for a moment. One
client sends a sentence at a time, first alone, then beside four clients that send, each again and
again, a request that would take seconds or minutes. All have the same address, so only costs tell
them apart; with `--addresses` each has its own.
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
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from penstock.data.grammar import generate_pairs
from service import Connection, served

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


async def _small(port: int, until: float) -> list[float]:
    """Seconds of each answer of a client that sends a sentence at a time."""
    connection = Connection(port)
    body = json.dumps({"texts": SENTENCE}).encode()
    seconds: list[float] = []
    while time.monotonic() < until:
        begun = time.monotonic()
        status, content = await connection.post("/v1/translate", body)
        if status != 200:
            print(f"    a small request got {status}: {content.decode()}")
        seconds.append(time.monotonic() - begun)
        await asyncio.sleep(0.02)
    connection.close()
    return seconds


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


async def measure(port: int, seconds: float, *, clients: int, own_addresses: bool) -> None:
    """Print the small requests' times alone and beside the large ones."""
    await _small(port, time.monotonic() + 3)
    alone = await _small(port, time.monotonic() + seconds)
    answers: dict[str, Counter[int]] = {}
    until = time.monotonic() + seconds
    small = asyncio.create_task(_small(port, until))
    await asyncio.gather(
        *(
            _large(port, until, number, answers, own_address=own_addresses)
            for number in range(clients)
        )
    )
    beside = await small
    for what, times in (("alone", alone), ("beside", beside)):
        ordered = sorted(times)
        print(
            f"{what}: {len(times)} answers, median {1e3 * median(times):.0f} ms, 99th percentile "
            f"{1e3 * ordered[int(0.99 * (len(times) - 1))]:.0f} ms, longest {1e3 * max(times):.0f}"
        )
    for name, statuses in answers.items():
        print(f"    {name}: {_listed(statuses)}")


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
        with served(arguments.model, options, folder / "log") as server:
            asyncio.run(
                measure(
                    server.port, arguments.seconds, clients=arguments.clients,
                    own_addresses=arguments.addresses,
                )
            )  # fmt: skip


if __name__ == "__main__":
    main()
