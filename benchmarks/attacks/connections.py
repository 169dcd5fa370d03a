"""Clients on raw sockets: they send any bytes, slowly, never, or many at once."""

from __future__ import annotations

import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from attacks.trial import HANG_SECONDS, Trial

Maker = Callable[[Random], tuple[str, bytes]]  # what it is, and its bytes

_SHOWN = 100  # bytes of a request
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_BAD = re.compile(rb"HTTP/1\.1 (?!503)(5\d\d) ")
_UNREAD_SECONDS = 45  # a client that reads nothing is cut off after 30


def opened(port: int, content: bytes) -> socket.socket:
    """Connect and send; what the service does not take is not sent."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=HANG_SECONDS)
    with suppress(OSError):
        connection.sendall(content)
    return connection


def request(path: str, body: bytes | None, *, host: str = "localhost") -> bytes:
    """The bytes of a well-formed request."""
    head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: {host}\r\n"
    if body is None:
        return f"{head}\r\n".encode()
    kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return f"{head}{kind}".encode() + body


def status_of(port: int, path: str, body: bytes | None) -> int:
    """The status of a well-formed request; 0 without an answer in time."""
    with opened(port, request(path, body)) as connection, suppress(OSError):
        found = _STATUS.match(connection.recv(65_536))
        return int(found[1]) if found else 0
    return 0


def exchange(port: int, content: bytes, random: Random) -> str:
    """Send bytes in one or more blocks, read until the service closes, and say what broke."""
    begun = time.monotonic()
    cut = random.choice((len(content), len(content), random.randint(1, len(content) or 1)))
    with socket.create_connection(("127.0.0.1", port), timeout=HANG_SECONDS) as connection:
        with suppress(OSError):
            connection.sendall(content[:cut])
            connection.sendall(content[cut:])
            connection.shutdown(socket.SHUT_WR)  # a client that only reads from now on
        read = b""
        try:
            while block := connection.recv(65_536):
                read += block
                if time.monotonic() - begun > HANG_SECONDS:
                    return f"not closed within {HANG_SECONDS} s"
        except TimeoutError:
            return f"no answer within {HANG_SECONDS} s: {content[:_SHOWN]!r}"
        except OSError:
            pass
    bad = _BAD.search(read)
    return f"status {int(bad[1])}: {content[:_SHOWN]!r}" if bad else ""


def flood(port: int, body: bytes, random: Random) -> Iterator[Trial]:
    """Many requests at once, of which each gets an answer."""
    count = random.choice((50, 100, 300))
    connections = [opened(port, request("/v1/translate", body)) for _ in range(count)]
    statuses: Counter[int] = Counter()
    begun = time.monotonic()
    for connection in connections:
        left = max(0.1, HANG_SECONDS - (time.monotonic() - begun))
        connection.settimeout(left)
        with connection, suppress(OSError):
            found = _STATUS.match(connection.recv(65_536))
            statuses[int(found[1]) if found else 0] += 1
            continue
        statuses[0] += 1
    bad = set(statuses) - {200, 429, 503}
    yield Trial(f"{count} requests at once", f"statuses {dict(statuses)}" if bad else "")


@dataclass
class _SlowClient:
    what: str
    connection: socket.socket
    drips: bytes
    seconds: float
    begun: float = field(default_factory=time.monotonic)


class SlowClients:
    """Connections that send little or nothing and must be closed in time, while others go on."""

    def __init__(self, port: int, random: Random) -> None:
        self._port, self._random = port, random
        self._open: list[_SlowClient] = []

    def step(self) -> Iterator[Trial]:
        """Open another client, go on with those that are open, and tell of those that ended."""
        if len(self._open) < 100:
            self._open.append(self._another())
        for client in list(self._open):
            closed = self._is_closed(client)
            late = time.monotonic() - client.begun > client.seconds
            if closed or late:
                self._open.remove(client)
                client.connection.close()
                broke = "" if closed else f"open after {client.seconds:.0f} s"
                yield Trial(client.what, broke)

    def close(self) -> None:
        """Hang up all."""
        for client in self._open:
            client.connection.close()

    def _another(self) -> _SlowClient:
        what, content, drips = self._random.choice(
            (
                ("silent", b"", b""),
                ("a head that stops", b"GET /health HTTP/1.1\r\nX: ", b""),
                ("a head that drips", b"GET /health HTTP/1.1\r\nX: ", b"x"),
                ("a body that stops", request("/v1/translate", b"x" * 100)[:-99], b""),
                ("a body that drips", request("/v1/translate", b" " * 9000)[:-8999], b" "),
                ("answers that nobody reads", request("/openapi.json", None) * 200, b""),
            )
        )
        connection = opened(self._port, content)
        connection.settimeout(0)
        unread = what == "answers that nobody reads"
        seconds = _UNREAD_SECONDS if unread else HANG_SECONDS
        return _SlowClient(what, connection, drips, seconds)

    def _is_closed(self, client: _SlowClient) -> bool:
        try:
            if client.drips:
                client.connection.send(client.drips)
            if client.seconds == _UNREAD_SECONDS:
                return bool(client.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)) or (
                    time.monotonic() - client.begun > 35 and self._was_cut(client.connection)
                )
            while block := client.connection.recv(65_536):
                if _BAD.search(block):
                    return False
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def _was_cut(self, connection: socket.socket) -> bool:
        """Read what was kept for a client that did not read, up to the end."""
        connection.settimeout(2)
        with suppress(ConnectionError):
            while connection.recv(1 << 20):
                pass
        return True
