"""Count, time and log every request: its route, never its text, key or address."""

from __future__ import annotations

import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.serve import json_log
from penstock.serve.prometheus import Metrics

_TEXTS = "penstock.texts"
_QUIET = {"/health", "/ready", "/metrics"}  # polled every few seconds


def note_texts(scope: Scope, count: int) -> None:
    """Record the number of texts in a request, for the log."""
    scope[_TEXTS] = count


class RequestLog:
    """The outermost middleware: counts and logs every answer."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, then log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.monotonic()
        status = 499  # without an answer: the client has disconnected

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            status = 500  # the handler of unexpected errors answers outside this middleware
            raise
        finally:
            self._note(scope, status, time.monotonic() - begun)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = _template(scope)
        self._metrics.count_request(route, status, seconds)
        if route in _QUIET and status < 500:
            return
        json_log.write(
            "request",
            level="error" if status == 500 else "info",
            route=route,
            status=status,
            seconds=round(seconds, 4),
            texts=scope.get(_TEXTS),
        )


def _template(scope: Scope) -> str:
    """The path's template; the requested path may contain anything."""
    route: Any = scope.get("route")
    if route is not None:
        return route.path
    endpoint: Any = scope.get("endpoint")  # of a plain Starlette route
    routes: Any = scope["app"].routes if endpoint is not None else ()
    found = (each.path for each in routes if getattr(each, "endpoint", None) is endpoint)
    return next(found, "none")
