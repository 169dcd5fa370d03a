"""One connection: how large a request's head may be, and how long what comes and goes may take.

Bodies are limited where they are read (`BodyLimit`); a head is read by uvicorn before anything of
ours sees the request, and uvicorn with httptools limits neither its size nor its time. Nor does it
give up a client that never reads its answers.
"""

from __future__ import annotations

import asyncio
import re
import socket

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 10.0
WRITE_SECONDS = 30.0

_SEND_BYTES = 128 * 1024  # that the system keeps of what a client has not read
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_TOO_LARGE = b"the request's head is too large; send fewer and shorter headers"


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's connection with limits for the heads of its requests.

    A head that is too large is answered with 431, one that does not come in time with nothing:
    who sends no request reads no answer. What is sent and belongs to no request counts as a head.
    Who reads nothing for long while there is something to read is cut off.
    """

    head_seconds = HEAD_SECONDS
    write_seconds = WRITE_SECONDS

    def connection_made(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, transport: asyncio.Transport
    ) -> None:
        """A client connected, and has a head to send."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # `pause_writing` when the client lags at all
        # little, so that what waits here shows soon that one reads slowly
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES
        )
        self._head: int | None = 0  # bytes of the head that is being read; None: of none
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._begin_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._end_timer()
        self._end_write_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came; whole heads among them become requests."""
        if self._head is not None:
            self._head += len(data)
            data = _without_upgrade(data)
        super().data_received(data)
        if self._head is not None and self._head > HEAD_BYTES and not self.transport.is_closing():
            self._refuse()
        elif self._timer is None and not self._is_answering() and not self.transport.is_closing():
            self._begin_timer()  # uvicorn has ended its own, of idle connections

    def pause_writing(self) -> None:
        """There is more to read than the client has read."""
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """It has read everything."""
        super().resume_writing()
        self._end_write_timer()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        if self._timer is None:
            self._begin_timer()

    def on_headers_complete(self) -> None:
        """The last byte of a request's head."""
        self._head = None
        self._end_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The last byte of a request: what comes now is the next one's head."""
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
        if waiting < waited:  # slowly, but it reads
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
            self._begin_timer()  # it may be us who do not read on, until the one before is answered
        else:
            self.transport.close()

    def _refuse(self) -> None:
        if self._is_answering():
            self.flow.pause_reading()  # the answer to the request before comes first
            return
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
            b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
            b"content-length: " + str(len(_TOO_LARGE)).encode() + b"\r\n\r\n" + _TOO_LARGE
        )
        self.transport.close()


def _without_upgrade(data: bytes) -> bytes:
    """A head without the wish to speak another protocol, which would end the reading of this one.

    HTTP lets a server ignore it (RFC 9110, 7.8). Some clients send it with every first request.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nX-grade:", head) + end + rest
