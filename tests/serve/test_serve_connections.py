"""Connections by hand: heads that are too large or too slow, clients that go, and probes."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest

from penstock.serve.connections import HEAD_BYTES, GuardedProtocol
from serving import PlainWorker, plain_app, running, until

_BODY = json.dumps({"q": "der Hund", "source": "de", "target": "en"}).encode()
TRANSLATE = (
    b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)


class Hurried(GuardedProtocol):
    """Waits for heads and for readers for a moment only."""

    head_seconds = 0.3
    write_seconds = 0.3


@pytest.mark.parametrize(
    "head",
    [b"GET /health HTTP/1.1\r\n" + b"X: y\r\n" * 150_000, b"GET /" + b"x" * 900_000],
    ids=["many headers", "a long path"],
)
@pytest.mark.parametrize("before", [b"", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_a_large_head_is_refused_before_it_ends(head: bytes, before: bytes) -> None:
    with running(plain_app(), http=GuardedProtocol) as url, connected(url) as connection:
        if before:
            connection.sendall(before)
            assert answer(connection).startswith(b"HTTP/1.1 200")
        try:
            connection.sendall(head)
            assert answer(connection).startswith(b"HTTP/1.1 431")
        except ConnectionError:
            pass  # closed while there was more to send, which may overtake the answer


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nX: "])
@pytest.mark.parametrize("before", [b"", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_a_slow_head_ends(sent: bytes, before: bytes) -> None:
    if before and not sent:
        return  # an idle connection, which may stay
    with running(plain_app(), http=Hurried) as url, connected(url) as connection:
        if before:
            connection.sendall(before)
            assert answer(connection).startswith(b"HTTP/1.1 200")
        connection.sendall(sent)
        assert answer(connection) == b""


@pytest.mark.parametrize(
    ("request_", "more"),
    [
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\r\n"),
        (b"POST /v1/translate HTTP/1.1\r\nContent-Type: x/y\r\nContent-Length: 99\r\n\r\n", b"x"),
    ],
    ids=["an empty line", "a body that nobody reads"],
)
def test_what_belongs_to_no_request_does_not_keep_a_connection(
    request_: bytes, more: bytes
) -> None:
    with running(plain_app(), http=Hurried) as url, connected(url) as connection:
        connection.sendall(request_)
        assert answer(connection).startswith(b"HTTP/1.1 ")
        connection.sendall(more)
        assert answer(connection) == b""


def test_a_client_that_does_not_read_is_cut_off() -> None:
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with running(plain_app(), http=Hurried) as url:
        whole = 200 * len(httpx.get(f"{url}/openapi.json").content)  # more than systems buffer
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(60)
            connection.connect(("127.0.0.1", urlsplit(url).port or 0))
            connection.sendall(ask * 200)
            time.sleep(2.0)
            read = 0
            with suppress(ConnectionError):
                while block := connection.recv(65_536):
                    read += len(block)
        assert read < whole / 2


def test_a_client_that_reads_slowly_gets_all() -> None:
    with running(plain_app(), http=Hurried) as url:
        whole = len(httpx.get(f"{url}/openapi.json").content)
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(60)
            connection.connect(("127.0.0.1", urlsplit(url).port or 0))
            connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 30)
            read = 0
            while read < 30 * whole:
                block = connection.recv(65_536)
                assert block
                read += len(block)
                time.sleep(0.005)


def test_an_upgrade_is_ignored() -> None:
    headers = {
        "Connection": "Upgrade, HTTP2-Settings",
        "Upgrade": "h2c",
        "HTTP2-Settings": "AAMAAABkAAQAoAAAAAIAAAAA",
        "Content-Type": "application/json",
    }
    with running(plain_app(), http=GuardedProtocol) as url, httpx.Client() as client:
        for _ in range(2):
            found = client.post(f"{url}/translate", content=_BODY, headers=headers)
            assert found.status_code == 200


@pytest.fixture
def late() -> Iterator[PlainWorker]:
    """A worker whose answers come late."""
    worker = PlainWorker()
    worker.hold = True

    def release() -> None:
        time.sleep(0.7)
        worker.hold = False

    releaser = threading.Thread(target=release)
    releaser.start()
    yield worker
    releaser.join(5)


def test_a_large_head_behind_a_request_waits_for_its_answer(late: PlainWorker) -> None:
    with running(plain_app(worker=late), http=GuardedProtocol) as url, connected(url) as connection:
        connection.sendall(TRANSLATE)
        time.sleep(0.1)
        connection.sendall(b"GET /health HTTP/1.1\r\n" + b"X: y\r\n" * 15_000)
        assert answer(connection).startswith(b"HTTP/1.1 200")


def test_what_takes_time_after_its_head_does_not_end(late: PlainWorker) -> None:
    with running(plain_app(worker=late), http=Hurried) as url, connected(url) as connection:
        connection.sendall(TRANSLATE)
        connection.sendall(b"GET /health HTTP/1.1\r\nX")  # a second head, while the first waits
        assert answer(connection).startswith(b"HTTP/1.1 200")
        connection.sendall(b": y\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert answer(connection).startswith(b"HTTP/1.1 200")


def test_a_client_that_goes_before_its_body_ends_is_no_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with running(plain_app()) as url:
        with connected(url) as connection:
            head = b"POST /v1/translate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
            connection.sendall(head + b"Content-Type: application/json\r\n\r\n{")
        said: list[str] = []
        until(lambda: bool(said.append(capsys.readouterr().err) or "".join(said)))
    (line,) = "".join(said).splitlines()
    event = json.loads(line)
    assert (event["level"], event["status"]) == ("info", 499)


def answer(connection: socket.socket) -> bytes:
    """A whole answer, or what there is of it when the connection ends."""
    read = b""
    while block := connection.recv(65_536):
        read += block
        head, end, body = read.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if end and length is not None and len(body) >= int(length[1]):
            break
    return read


def connected(url: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=5)


def test_probes_answer_head_as_get_without_a_body() -> None:
    with running(plain_app()) as url:
        for path in ("/health", "/ready"):
            asked, got = httpx.head(f"{url}{path}"), httpx.get(f"{url}{path}")
            assert asked.status_code == got.status_code == 200
            assert asked.headers["content-length"] == got.headers["content-length"]
            assert asked.content == b""


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("before", [b"", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2])
@pytest.mark.parametrize("block", [1_000, 1_000_000])
def test_a_head_may_have_as_many_bytes_as_documented(extra: int, before: bytes, block: int) -> None:
    head = b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: \r\n\r\n"
    head = head.replace(b"X: ", b"X: " + b"x" * (HEAD_BYTES + extra - len(head)))
    with running(plain_app(), http=GuardedProtocol) as url, connected(url) as connection:
        for at in range(0, len(before + head), block):
            connection.sendall((before + head)[at : at + block])
        statuses: list[int] = []
        read = b""
        with suppress(ConnectionError):
            while more := connection.recv(65_536):
                read += more
        statuses = [int(found) for found in re.findall(rb"HTTP/1\.1 (\d+)", read)]
    assert statuses == [*([200, 200] if before else []), 431 if extra else 200]


def test_what_is_no_request_is_answered_after_the_request_before_it(late: PlainWorker) -> None:
    with running(plain_app(worker=late), http=GuardedProtocol) as url, connected(url) as connection:
        connection.sendall(TRANSLATE + b"what is this\r\n\r\n")
        first = answer(connection)
        assert first.startswith(b"HTTP/1.1 200")
        second = first.partition(b"HTTP/1.1 400")[2] or answer(connection)
        assert b"Invalid HTTP request" in second
