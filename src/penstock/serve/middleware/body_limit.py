"""Limits on the size and duration of a request's body."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.serve.api.error_responses import RequestError, error_response

_BODY_SECONDS = 10.0  # for a whole body to arrive
_DRAINED = (
    2**20
)  # bytes of an oversized body that are still read, so that its sender gets an answer


class _Rejection(Exception):
    """A body was rejected while it was read."""

    def __init__(self, error: RequestError) -> None:
        super().__init__(error.message)
        self.error = error


class BodyLimit:
    """Reject a body that is too large or too slow.

    The bytes are counted as they arrive, as the declared length may be missing or wrong.

    Args:
        app: the inner application.
        most: maximum bytes of a body.
        seconds: maximum time for a body to arrive.
    """

    def __init__(self, app: ASGIApp, *, most: int, seconds: float = _BODY_SECONDS) -> None:
        self._app = app
        self._most = most
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 413 or 408."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = str(scope["path"])
        if _declared_length(scope) > self._most:
            await self._drain(receive)
            await error_response(path, self._too_large())(scope, receive, send)
            return
        deadline = asyncio.get_running_loop().time() + self._seconds
        read, is_whole, has_begun = 0, False, False

        async def counted() -> Message:
            nonlocal read, is_whole
            if is_whole:  # the application waits for a disconnect, without a limit
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise _Rejection(self._too_slow()) from None
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                is_whole = not message.get("more_body", False)
                if read > self._most:
                    if not is_whole:
                        await self._drain(receive)
                    raise _Rejection(self._too_large())
            return message

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, counted, watched)
        except _Rejection as rejection:
            if not has_begun:
                await error_response(path, rejection.error)(scope, receive, send)

    async def _drain(self, receive: Receive) -> None:
        """Keep reading for a moment: a client that is still writing would miss the answer."""
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


def _declared_length(scope: Scope) -> int:
    """The request's Content-Length; 0 if it is missing or malformed."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and len(value) < 20:
            return int(value)
    return 0
