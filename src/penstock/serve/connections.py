"""Limits of one connection: the size of a request's head, and timeouts for reading and writing.

`BodyLimit` limits bodies, but uvicorn reads the head before our code sees the request; with
httptools it limits neither the head's size nor its time, and never gives up on a client that does
not read.
"""

from __future__ import annotations

import asyncio
import re
import socket

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 10.0
WRITE_SECONDS = 30.0

_SEND_BYTES = 128 * 1024  # the socket's send buffer
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)


def _answer(status: str, message: str) -> bytes:
    content = message.encode()
    return (
        f"HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
        f"content-length: {len(content)}\r\n\r\n"
    ).encode() + content


_TOO_LARGE = _answer(
    "431 Request Header Fields Too Large",
    f"the request's head is larger than {HEAD_BYTES:,} bytes; send fewer and shorter headers",
)


class _TooLargeError(Exception):
    """A head is too large."""


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's connection with limits.

    A head that is too large is answered with 431; a connection whose head does not arrive in time
    is closed without an answer. Bytes that belong to no request count as a head. A client that
    reads nothing for `write_seconds` while data is pending is cut off.
    """

    head_seconds = HEAD_SECONDS
    write_seconds = WRITE_SECONDS

    def connection_made(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, transport: asyncio.Transport
    ) -> None:
        """Start waiting for a head."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # `pause_writing` as soon as the client lags
        # a small buffer, so that a slow reader shows soon
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES
        )
        self._head: int | None = 0  # bytes read of the current head; None outside a head
        self._heads = 0  # complete ones
        self._rejection: bytes | None = None  # an answer to what is no request
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._begin_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        self._end_timer()
        self._end_write_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a head, and pass them on."""
        while data and self._rejection is None and not self.transport.is_closing():
            room = len(data) if self._head is None else HEAD_BYTES - self._head
            read, data = data[:room], data[room:]
            before = self._heads
            if self._head is not None:
                self._head += len(read)
                read = _without_upgrade(read)
            super().data_received(read)
            if data and self._head is not None and self._heads == before:
                self._reject(_TOO_LARGE)
                return
        if self._timer is None and not self._is_answering() and not self.transport.is_closing():
            self._begin_timer()  # uvicorn has stopped its own timer for idle connections

    def pause_writing(self) -> None:
        """The client has not read everything: start watching it."""
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The client has read everything."""
        super().resume_writing()
        self._end_write_timer()

    def on_message_begin(self) -> None:
        """A request's first byte has arrived."""
        super().on_message_begin()
        if self._timer is None:
            self._begin_timer()

    def on_headers_complete(self) -> None:
        """A request's head is complete."""
        self._head = None
        self._heads += 1
        self._end_timer()
        assert self.parser is not None
        # of requests that arrive together, only this tells the second head's size
        request_line = len(self.parser.get_method()) + len(self.url) + len(b"  HTTP/1.1\r\n")
        fields = sum(len(name) + len(value) + len(b": \r\n") for name, value in self.headers)
        if request_line + fields + len(b"\r\n") > HEAD_BYTES:
            self._rejection = _TOO_LARGE
            raise _TooLargeError  # ends the parser, which calls `send_400_response`
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Reject what is no request."""
        self._reject(self._rejection or _answer("400 Bad Request", msg))

    def on_response_complete(self) -> None:
        """An answer is sent; a rejection of what followed its request waits for it."""
        super().on_response_complete()
        if self._timer is not None:  # the next head may have waited for this
            self._end_timer()
            self._begin_timer()
        if self._rejection is not None and not self.transport.is_closing():
            self._reject(self._rejection)

    def on_message_complete(self) -> None:
        """A request is complete; the next bytes are another head."""
        super().on_message_complete()
        self._head = 0

    def _begin_timer(self) -> None:
        self._timer = self.loop.call_later(self.head_seconds, self._give_up)

    def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch_reader(self, waiting: int) -> None:
        self._write_timer = self.loop.call_later(self.write_seconds, self._check_reader, waiting)

    def _check_reader(self, waited: int) -> None:
        waiting = self.transport.get_write_buffer_size()
        if waiting < waited:  # it reads, if slowly
            self._watch_reader(waiting)
        else:
            self.transport.abort()

    def _end_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison]

    def _give_up(self) -> None:
        self._timer = None
        if self._is_answering():
            self._begin_timer()  # we may have paused reading until the previous answer is sent
        else:
            self.transport.close()

    def _reject(self, answer: bytes) -> None:
        self._rejection = answer
        if self._is_answering():
            self.flow.pause_reading()  # the answer to the previous request comes first
            return
        self.transport.write(answer)
        self.transport.close()


def _without_upgrade(data: bytes) -> bytes:
    """Disable the Upgrade header, which would stop the HTTP parser.

    A server may ignore it (RFC 9110, 7.8); some clients send it with every first request.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nX-grade:", head) + end + rest
