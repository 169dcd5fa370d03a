"""How large a request's body may be, and how slow."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.serve.api.error_responses import RequestError, error_response

_BODY_SECONDS = 10.0  # in which a whole body must arrive
_DRAINED = 2**20  # bytes of a too large body that are still read, so that its sender hears why


class _Refusal(Exception):
    """A body that is refused while it is read."""

    def __init__(self, error: RequestError) -> None:
        super().__init__(error.message)
        self.error = error


class BodyLimit:
    """Refuses a body that is too large or comes too slowly, however it is sent.

    The announced length is only a first look: the bytes are counted as they come.

    Args:
        app: what comes behind.
        most: bytes of a body.
        seconds: in which all of it must arrive.
    """

    def __init__(self, app: ASGIApp, *, most: int, seconds: float = _BODY_SECONDS) -> None:
        self._app = app
        self._most = most
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, counting; 413 or 408 where it is too much."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = str(scope["path"])
        if _announced(scope) > self._most:
            await self._drain(receive)
            await error_response(path, self._too_large())(scope, receive, send)
            return
        deadline = asyncio.get_running_loop().time() + self._seconds
        read, is_whole, has_begun = 0, False, False

        async def counted() -> Message:
            nonlocal read, is_whole
            if is_whole:  # then it waits for the client's end, as long as that takes
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise _Refusal(self._too_slow()) from None
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                is_whole = not message.get("more_body", False)
                if read > self._most:
                    if not is_whole:
                        await self._drain(receive)
                    raise _Refusal(self._too_large())
            return message

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, counted, watched)
        except _Refusal as refusal:
            if not has_begun:
                await error_response(path, refusal.error)(scope, receive, send)

    async def _drain(self, receive: Receive) -> None:
        """Read on a little: a client that still writes would miss the answer."""
        left = _DRAINED
        try:
            async with asyncio.timeout(1.0):
                while left > 0:
                    message = await receive()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return
        except TimeoutError:
            return

    def _too_large(self) -> RequestError:
        return RequestError(
            413,
            f"the request's body is larger than {self._most:,} bytes; send less text at a time",
            headers={"Connection": "close"},
        )

    def _too_slow(self) -> RequestError:
        return RequestError(
            408,
            f"the request's body did not arrive within {self._seconds:g} seconds; send it at once",
            headers={"Connection": "close"},
        )


def _announced(scope: Scope) -> int:
    """The length that the request's header claims; 0 without one that can be read."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and len(value) < 20:
            return int(value)
    return 0
