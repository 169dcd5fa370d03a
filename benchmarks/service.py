"""What the service does under load: throughput, added time, overload, hostile requests.

    python benchmarks/service.py load     -m runs/multi30k-de-en test.de
    python benchmarks/service.py alone    -m runs/multi30k-de-en test.de
    python benchmarks/service.py overload -m runs/multi30k-de-en test.de
    python benchmarks/service.py hostile  -m runs/multi30k-de-en test.de --seconds 600
    python benchmarks/service.py memory   -m demo lines.txt --seconds 20
    python benchmarks/service.py engines  -m runs/multi30k-de-en test.de --precision bf16

Each starts `penstock serve` on a free port of 127.0.0.1 and ends it. The clients run in this
process, on the same cores, over connections that stay open; one is a coroutine that sends a line,
waits for the answer and sends the next. Blank lines are not sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from penstock.data.formats.input_lines import read_lines

_PATIENCE = 30.0  # s for one answer; the service itself gives up before
_SECONDS = re.compile(rb'"seconds":([0-9.e-]+)')
_LENGTH = re.compile(rb"(?i)content-length: (\d+)")


@dataclass(frozen=True)
class Server:
    """A service that runs."""

    process: subprocess.Popen[str]
    port: int

    def resident(self) -> float:
        """Resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024


@contextmanager
def served(model: str, options: Sequence[str], log: Path) -> Iterator[Server]:
    """`penstock serve` until the block ends; its log goes to a file."""
    penstock = str(Path(sys.executable).with_name("penstock"))
    command = [penstock, "serve", "-m", model, "--port", "0", *options]
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(command, stderr=stream, text=True)
        try:
            yield Server(process, _port(process, log))
        finally:
            process.send_signal(signal.SIGTERM)
            if process.wait(timeout=60) != 0:
                print(f"the service ended with {process.returncode}; see {log}")


def _port(process: subprocess.Popen[str], log: Path) -> int:
    for _ in range(3000):
        found = re.search(r"serving .* on http://127\.0\.0\.1:(\d+)", log.read_text("utf-8"))
        if found:
            return int(found[1])
        if process.poll() is not None:
            raise SystemExit(log.read_text("utf-8"))
        time.sleep(0.1)
    raise SystemExit(f"the service did not start within five minutes; see {log}")


class Connection:
    """One client's connection, opened anew when the server closed it."""

    def __init__(self, port: int, address: str | None = None) -> None:
        self._port = port
        self._from = None if address is None else (address, 0)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Send JSON; status and body of the answer."""
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                "127.0.0.1", self._port, local_addr=self._from
            )
        reader, writer = self._streams
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(answer)
        content = await reader.readexactly(int(length[1])) if length else b""
        if b"connection: close" in answer.lower():
            self.close()
        return int(answer.split(b" ", 2)[1]), content

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@dataclass
class Tally:
    """What clients saw."""

    statuses: Counter[int] = field(default_factory=Counter[int])
    seconds: list[float] = field(default_factory=list[float])
    added: list[float] = field(default_factory=list[float])

    def told(self) -> str:
        """Median and 99th percentile in milliseconds."""
        ordered = sorted(self.seconds)
        last = ordered[int(0.99 * (len(ordered) - 1))]
        return f"median {1e3 * median(ordered):.0f} ms, 99th percentile {1e3 * last:.0f} ms"


async def ask(port: int, lines: Sequence[str], clients: int, seconds: float) -> Tally:
    """So many clients, each a line at a time, for so long."""
    tally = Tally()
    until = time.monotonic() + seconds
    source = random.Random(1)
    bodies = [json.dumps({"texts": line}).encode() for line in lines]

    async def client() -> None:
        connection = Connection(port)
        while time.monotonic() < until:
            begun = time.monotonic()
            try:
                status, content = await connection.post("/v1/translate", source.choice(bodies))
            except (OSError, EOFError):
                status, content = 0, b""
                connection.close()
            spent = time.monotonic() - begun
            tally.statuses[status] += 1
            if status == 200:
                tally.seconds.append(spent)
                found = _SECONDS.search(content)
                tally.added.append(spent - float(found[1]) if found else spent)
            else:
                await asyncio.sleep(0.1)  # a client that was refused waits a little
        connection.close()

    async with asyncio.timeout(seconds + _PATIENCE):
        await asyncio.gather(*(client() for _ in range(clients)))
    return tally


def load(server: Server, arguments: argparse.Namespace, lines: Sequence[str]) -> None:
    """Throughput of many clients."""
    asyncio.run(ask(server.port, lines, arguments.clients, min(5.0, arguments.seconds)))
    tally = asyncio.run(ask(server.port, lines, arguments.clients, arguments.seconds))
    done = tally.statuses[200]
    print(f"{arguments.clients} clients, {arguments.seconds:.0f} s: {_listed(tally.statuses)}")
    print(f"{done / arguments.seconds:.1f} sentences/s, {tally.told()}")
    batches = _counts(server.port, "penstock_batch_texts")
    print(f"{batches['sum'] / batches['count']:.1f} texts a batch")


def alone(server: Server, arguments: argparse.Namespace, lines: Sequence[str]) -> None:
    """What the service adds to the model's own time, for one client."""
    asyncio.run(ask(server.port, lines, 1, min(3.0, arguments.seconds)))
    tally = asyncio.run(ask(server.port, lines, 1, arguments.seconds))
    print(f"1 client: {_listed(tally.statuses)}; {tally.told()}")
    print(f"added to the model's own time: median {1e3 * median(tally.added):.2f} ms")


def overload(server: Server, arguments: argparse.Namespace, lines: Sequence[str]) -> None:
    """Far more clients than can be served, and one client before and after."""
    alone(server, argparse.Namespace(seconds=min(10.0, arguments.seconds)), lines)
    # the first seconds of load fill caches and buffers
    asyncio.run(ask(server.port, lines, arguments.clients, min(20.0, arguments.seconds)))
    before = server.resident()
    tally = asyncio.run(ask(server.port, lines, arguments.clients, arguments.seconds))
    print(f"{arguments.clients} clients, {arguments.seconds:.0f} s: {_listed(tally.statuses)}")
    print(f"those served: {tally.told()}")
    print(f"resident memory {before:.0f} MB before, {server.resident():.0f} MB after")
    alone(server, argparse.Namespace(seconds=min(10.0, arguments.seconds)), lines)


def compare_engines(arguments: argparse.Namespace, lines: Sequence[str]) -> None:
    """One client and many, on torch and on ONNX Runtime in turns; medians of five rounds each."""
    precision = ["--engine", "torch", "--precision", arguments.precision]
    with (
        served(arguments.model, precision, arguments.log) as torch,
        served(arguments.model, ["--engine", "onnx"], arguments.log.with_suffix(".onnx")) as onnx,
    ):
        for clients in (1, arguments.clients):
            found: dict[int, list[Tally]] = {torch.port: [], onnx.port: []}
            for _ in range(6):
                for port, tallies in found.items():
                    tallies.append(asyncio.run(ask(port, lines, clients, arguments.seconds / 6)))
            rates: list[float] = []
            for name, tallies in zip(("torch", "onnx"), found.values(), strict=True):
                measured = tallies[1:]  # the first of either warms up
                rate = median(t.statuses[200] for t in measured) / (arguments.seconds / 6)
                latency = 1e3 * median(median(t.seconds) for t in measured)
                print(f"{clients} clients, {name}: {rate:.1f} sentences/s, median {latency:.1f} ms")
                rates.append(rate)
            print(f"{clients} clients: onnx / torch {rates[1] / rates[0]:.2f}")


def memory(server: Server, arguments: argparse.Namespace, lines: Sequence[str]) -> None:
    """Resident memory when ready, after many clients and costly requests, and after them again."""
    print(f"ready: {server.resident():.0f} MB")
    long = " ".join(lines)[:4800]
    costly = [{"texts": long, **options} for options in _COSTLY]
    for turn in ("first", "second"):
        asyncio.run(ask(server.port, lines, arguments.clients, arguments.seconds))
        print(f"{turn} time {arguments.clients} clients: {server.resident():.0f} MB")
        for body in costly:
            answered = asyncio.run(Connection(server.port).post("/v1/translate", _json(body)))
            assert answered[0] in (200, 429, 503), answered
        print(f"{turn} time {', '.join(_told(each) for each in _COSTLY)}: "
              f"{server.resident():.0f} MB")  # fmt: skip


_COSTLY: tuple[dict[str, Any], ...] = (
    {"beam_size": 16}, {"search": "mbr"}, {"search": "exact"},
)  # fmt: skip


def _told(options: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def hostile(server: Server, arguments: argparse.Namespace, lines: Sequence[str]) -> None:
    """Good, malformed, oversized, slow and cut requests together, with requests by the schema.

    Memory is compared after a minute of the same, and 12 s of one client behind each.
    """
    warm_up = min(60.0, arguments.seconds)
    first = _fuzz(server.port, warm_up)  # what the largest requests need is needed then
    asyncio.run(_mixed(server.port, lines, warm_up))
    if first is not None:
        first.communicate(timeout=120)
    asyncio.run(ask(server.port, lines, 1, 12.0))
    before = server.resident()
    fuzz = _fuzz(server.port, arguments.seconds)
    answers, tally = asyncio.run(_mixed(server.port, lines, arguments.seconds))
    if fuzz is not None:
        output, _ = fuzz.communicate(timeout=120)
        print("\n".join(output.strip().splitlines()[-25:]))
    print(f"good requests: {_listed(tally.statuses)}; {tally.told()}")
    print(f"hostile requests: {_listed(answers)} (0: cut or closed without an answer)")
    last = asyncio.run(ask(server.port, lines, 1, 12.0))
    print(f"afterwards one client: {_listed(last.statuses)}; {last.told()}")
    after = server.resident()
    print(f"resident memory {before:.0f} MB before, {after:.0f} MB after ({after / before:.3f})")


def _fuzz(port: int, seconds: float) -> subprocess.Popen[str] | None:
    """Schemathesis against the service's own schema, for so long."""
    program = Path(sys.executable).with_name("schemathesis")
    if not program.exists() and shutil.which("schemathesis") is None:
        print("schemathesis is not installed: pip install schemathesis")
        return None
    schema = f"http://127.0.0.1:{port}/openapi.json"
    command = [
        str(program), "run", schema, "--phases", "fuzzing", "--max-examples", "100000",
        "--max-time", str(int(seconds)), "--checks", "not_a_server_error",
        "--continue-on-failure",
    ]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


async def _mixed(port: int, lines: Sequence[str], seconds: float) -> tuple[Counter[int], Tally]:
    answers: Counter[int] = Counter()
    until = time.monotonic() + seconds
    source = random.Random(2)

    async def attacker(attack: Callable[[int, random.Random], Awaitable[int]]) -> None:
        while time.monotonic() < until:
            try:
                async with asyncio.timeout(_PATIENCE):
                    answers[await attack(port, source)] += 1
            except (OSError, EOFError, TimeoutError):
                answers[0] += 1
            await asyncio.sleep(0.05)

    attackers = (malformed, oversized, slow, cut, abandoned)
    tally, *_ = await asyncio.gather(
        ask(port, lines, 8, seconds), *(attacker(attack) for attack in attackers)
    )
    return answers, tally


_BODIES = (
    b"", b"{", b"[]", b'{"texts": 1}', b'{"texts": []}', b'{"texts": "\\ud800"}', b"\xff\xfe\x00",
    b'{"texts": ["a", null]}', b"[" * 5000, b'{"texts": "a", "beam_size": 1e308}',
    b'{"texts": "\\u0000\\u0007"}', b'{"texts": "a", "prefix": "b", "search": "nothing"}',
    b'{"texts": "' + b"a " * 3000 + b'"}', b'{"texts": ["' + b'","'.join([b"a"] * 60) + b'"]}',
    b'{"texts": "a", "source": "xx", "target": "yy"}', b'{"q": "a", "target": {}}', b"NaN",
)  # fmt: skip


async def malformed(port: int, source: random.Random) -> int:
    """A body that is not what it should be."""
    connection = Connection(port)
    path = source.choice(("/v1/translate", "/translate", "/v2/translate", "/v1/inspect", "/detect"))
    status, _ = await connection.post(path, source.choice(_BODIES))
    connection.close()
    return status


async def oversized(port: int, _: random.Random) -> int:
    """A body of a megabyte, in chunks that announce no length."""
    head = b"POST /v1/translate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(OSError):
        writer.write(head)
        for _ in range(64):
            writer.write(b"4000\r\n" + b"a" * 0x4000 + b"\r\n")
            await writer.drain()
    return await _status(reader, writer)


async def slow(port: int, source: random.Random) -> int:
    """A body that comes a byte at a time, and sometimes never ends."""
    body = b'{"texts": "Ein Mann."}'
    head = f"POST /v1/translate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode())
    for byte in body[: source.choice((len(body), 5))]:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)
    return await _status(reader, writer)


async def cut(port: int, _: random.Random) -> int:
    """A request that ends in the middle."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /v1/translate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()
    return 0


async def abandoned(port: int, source: random.Random) -> int:
    """A costly request whose client goes at once."""
    texts = ["Ein Mann geht in den Park und liest eine Zeitung."] * source.choice((1, 20, 50))
    body = json.dumps({"texts": texts, "beam_size": 16}).encode()
    head = f"POST /v1/translate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode() + body)
    await writer.drain()
    await asyncio.sleep(source.random() * 0.2)
    writer.close()
    return 0


async def _status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    line = await reader.readline()
    writer.close()
    return int(line.split(b" ", 2)[1]) if line else 0


def _counts(port: int, name: str) -> dict[str, float]:
    """Sum and count of a histogram of `/metrics`."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        page = answer.read().decode()
    found = re.findall(rf"^{name}_(sum|count) (\S+)$", page, re.MULTILINE)
    return {what: float(value) for what, value in found}


def _listed(statuses: Counter[int]) -> str:
    return ", ".join(f"{count:,} × {status}" for status, count in sorted(statuses.items()))


_WORKS: dict[str, tuple[Callable[[Server, argparse.Namespace, Sequence[str]], Any], int, float]] = {
    "load": (load, 64, 60.0),
    "alone": (alone, 1, 20.0),
    "overload": (overload, 512, 30.0),
    "hostile": (hostile, 8, 600.0),
    "memory": (memory, 64, 20.0),
}


def main() -> None:
    """Run one of the loads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", choices=[*_WORKS, "engines"])
    parser.add_argument("lines", help="a file of lines to translate")
    parser.add_argument("-m", "--model", required=True, help="as for penstock serve")
    parser.add_argument("--clients", type=int, help="default: 64, of overload 512")
    parser.add_argument("--seconds", type=float, help="default: 60; 20; 30; 600; 20; 60")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--threads", help="of each batch; default: the service's")
    parser.add_argument("--parallel", help="batches at the same time; default: the service's")
    parser.add_argument("--log", type=Path, default=Path("serve.log"), help="the service's log")
    arguments = parser.parse_args()
    run, clients, seconds = _WORKS.get(arguments.work, (None, 64, 60.0))
    arguments.clients = clients if arguments.clients is None else arguments.clients
    arguments.seconds = seconds if arguments.seconds is None else arguments.seconds
    lines = [line.text for line in read_lines(arguments.lines) if line.text.strip()]
    if run is None:
        compare_engines(arguments, lines)
        return
    options = ["--precision", arguments.precision]
    for flag in ("threads", "parallel"):
        if getattr(arguments, flag) is not None:
            options += [f"--{flag}", getattr(arguments, flag)]
    with served(arguments.model, options, arguments.log) as server:
        run(server, arguments, lines)


if __name__ == "__main__":
    main()
