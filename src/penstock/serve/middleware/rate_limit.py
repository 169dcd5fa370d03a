"""Rate limit per client."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from penstock.serve.api.error_responses import RequestError, error_response
from penstock.serve.middleware.api_keys import ApiKeys
from penstock.serve.middleware.client import client_of

_MOST_CLIENTS = 10_000
# probes and the page's files: loading the page must not use up a client's requests
_UNLIMITED = ("/health", "/ready", "/metrics", "/", "/docs", "/openapi.json", "/favicon.ico")


class TokenBuckets:
    """A token bucket per client, which holds `per_minute` requests and refills steadily.

    Args:
        per_minute: requests per minute.
        most: clients to remember; the least recently seen are forgotten, and start full again.
        clock: the time in seconds.
    """

    def __init__(
        self,
        per_minute: float,
        *,
        most: int = _MOST_CLIENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_second = per_minute / 60
        self._size = max(1.0, per_minute)
        self._most = most
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> float:
        """Take a request from the client's bucket; return the seconds to wait if it has none."""
        now = self._clock()
        left, since = self._buckets.pop(client, (self._size, now))
        left = min(self._size, left + (now - since) * self._per_second)
        wait = 0.0 if left >= 1 else (1 - left) / self._per_second
        self._buckets[client] = (left if wait else left - 1, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return wait

    def __len__(self) -> int:
        """The number of remembered clients."""
        return len(self._buckets)


class RateLimit:
    """Reject clients that send too many requests, before reading the request.

    Clients are told apart by `client_of`. Probes and the page's files are not limited.
    """

    def __init__(self, app: ASGIApp, *, buckets: TokenBuckets, keys: ApiKeys | None) -> None:
        self._app = app
        self._buckets = buckets
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 429 with the time to wait."""
        if scope["type"] == "http" and not _is_unlimited(scope["path"]):
            wait = self._buckets.take(client_of(scope, self._keys))
            if wait:
                message = "too many requests from this client; wait as Retry-After says"
                error = RequestError(429, message, retry_after=wait)
                await error_response(scope["path"], error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_unlimited(path: str) -> bool:
    return path in _UNLIMITED or path.startswith("/page/")
