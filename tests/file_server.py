"""A server on 127.0.0.1 that gives one file, and misbehaves as it is told to."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Misdeed = Callable[["Handler"], None]


class FileServer(http.server.ThreadingHTTPServer):
    """Answers the n-th request as the n-th misdeed says; later ones properly.

    `seen` holds each request's path and headers, in order.
    """

    daemon_threads = False  # server_close joins them

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = body
        self.etag = '"v1"'
        self.misdeeds: list[Misdeed] = []
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.lock = threading.Lock()
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file"

    @property
    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.seen]

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that gave up is what these tests are about


class Handler(http.server.BaseHTTPRequestHandler):
    server: FileServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.seen.append((self.path, dict(self.headers.items())))
            misdeed = self.server.misdeeds.pop(0) if self.server.misdeeds else whole
        misdeed(self)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base's name)
        pass

    def start(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


@contextmanager
def serving(body: bytes) -> Iterator[FileServer]:
    server = FileServer(body)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(handler: Handler, *, sent: int | None = None) -> None:
    """A proper answer with ranges, of which only the first `sent` bytes are really sent."""
    body, etag = handler.server.body, handler.server.etag
    wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    headers = {"ETag": etag}
    status, first = 200, 0
    if wanted and handler.headers.get("If-Range") in (None, etag):
        status, first = 206, int(wanted[1])
        if first >= len(body):
            handler.start(416, {"Content-Range": f"bytes */{len(body)}", "Content-Length": "0"})
            return
        headers["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
    rest = body[first:]
    handler.start(status, headers | {"Content-Length": str(len(rest))})
    handler.wfile.write(rest[:sent])


def whole(handler: Handler) -> None:
    _answer(handler)


def cut_after(sent: int) -> Misdeed:
    return lambda handler: _answer(handler, sent=sent)


def ignoring_ranges(handler: Handler) -> None:
    body = handler.server.body
    handler.start(200, {"Content-Length": str(len(body))})
    handler.wfile.write(body)


def ignoring_if_range(handler: Handler) -> None:
    """The new version's bytes, although the old one's were asked to go on."""
    del handler.headers["If-Range"]
    _answer(handler)


def without_length(handler: Handler) -> None:
    handler.start(200, {})
    handler.wfile.write(handler.server.body)


def answering(status: int, **headers: str) -> Misdeed:
    return lambda handler: handler.start(status, {"Content-Length": "0"} | headers)


def silent(handler: Handler) -> None:
    handler.server.closing.wait(10)


def stalling_after(sent: int) -> Misdeed:
    def stall(handler: Handler) -> None:
        _answer(handler, sent=sent)
        handler.wfile.flush()
        handler.server.closing.wait(10)

    return stall


def dripping(handler: Handler) -> None:
    """A byte now and then: never silent, never done."""
    handler.start(200, {"Content-Length": str(len(handler.server.body))})
    for byte in handler.server.body:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        if handler.server.closing.wait(0.03):
            return


def hanging_up(handler: Handler) -> None:
    handler.close_connection = True


def redirecting(location: str) -> Misdeed:
    return answering(302, Location=location)
