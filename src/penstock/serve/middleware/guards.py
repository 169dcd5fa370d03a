"""What stands before every request: its size, its client's rate, the headers of its answer.

All are plain ASGI: they cost microseconds, and let a stream pass as it comes.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.serve.api.failures import RequestError, error_response
from penstock.serve.middleware.keys import ApiKeys

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
)
_BODY_SECONDS = 10.0  # in which a whole body must arrive
_DRAINED = 2**20  # bytes of a too large body that are still read, so that its sender hears why
_MOST_CLIENTS = 10_000
# probes and the page's files: a page must not use up its reader's requests
_UNLIMITED = ("/health", "/ready", "/metrics", "/", "/docs", "/openapi.json", "/favicon.ico")


class SecurityHeaders:
    """Adds to each answer what keeps a browser from doing more with it than meant."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, adding the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_SECURITY]}
            await send(message)

        await self._app(scope, receive, with_headers)


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


class TokenBuckets:
    """How many requests each client has left.

    A bucket holds `a_minute` requests and fills up steadily. The clients seen last are remembered;
    one that is forgotten has a full bucket again.

    Args:
        a_minute: requests.
        most: clients that are remembered.
        clock: seconds.
    """

    def __init__(
        self,
        a_minute: float,
        *,
        most: int = _MOST_CLIENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._a_second = a_minute / 60
        self._size = max(1.0, a_minute)
        self._most = most
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> float:
        """Take a request from the client's bucket.

        Returns:
            0 when it had one; else the seconds until it has.
        """
        now = self._clock()
        left, since = self._buckets.pop(client, (self._size, now))
        left = min(self._size, left + (now - since) * self._a_second)
        wait = 0.0 if left >= 1 else (1 - left) / self._a_second
        self._buckets[client] = (left if wait else left - 1, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return wait

    def __len__(self) -> int:
        """Clients that are remembered."""
        return len(self._buckets)


class RateLimit:
    """Refuses a client that asks too often, before anything of its request is read.

    A client is the holder of the key in its header, or else its address: of IPv6 the first 64
    bits, which is what one client has for itself. Probes and the page's files are free.

    Args:
        app: what comes behind.
        buckets: what each client has left.
        keys: of the service.
    """

    def __init__(self, app: ASGIApp, *, buckets: TokenBuckets, keys: ApiKeys | None) -> None:
        self._app = app
        self._buckets = buckets
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or 429 with the time to wait."""
        if scope["type"] == "http" and not _is_unlimited(scope["path"]):
            wait = self._buckets.take(self._client(scope))
            if wait:
                message = "too many requests from this client; wait as long as Retry-After says"
                error = RequestError(429, message, retry_after=wait)
                await error_response(scope["path"], error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _client(self, scope: Scope) -> str:
        key = key_in_header(scope)
        holder = self._keys.holder(key) if self._keys is not None and key else None
        if holder is not None:
            return f"key {holder}"
        peer = scope.get("client")
        return _network(str(peer[0])) if peer else ""


def key_in_header(scope: Scope) -> str | None:
    """The API key of `Authorization: Bearer …` or DeepL's `DeepL-Auth-Key …`; None without."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, key = value.decode("latin-1").partition(" ")
            if scheme.lower() in ("bearer", "deepl-auth-key"):
                return key.strip()
    return None


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed), 64), strict=False))
    return str(parsed)


def _is_unlimited(path: str) -> bool:
    return path in _UNLIMITED or path.startswith("/page/")
