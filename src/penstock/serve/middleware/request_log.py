"""Every request is counted, timed and logged: its route, never its text, key or address."""

from __future__ import annotations

import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.serve import json_log
from penstock.serve.prometheus import Metrics

_TEXTS = "penstock.texts"
_QUIET = {"/health", "/ready", "/metrics"}  # asked every few seconds, for ever


def note_texts(scope: Scope, count: int) -> None:
    """Let the log say how many texts a request had."""
    scope[_TEXTS] = count


class Observed:
    """Middleware that counts and logs; outside of all other that may answer.

    Args:
        app: what answers.
        metrics: where it is counted.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and say so."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.monotonic()
        status = 499  # unless it is answered, its client is gone

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            status = 500  # the server's own handler answers so, outside of this
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
    """The path as the application has it: a path as asked may hold anything."""
    route: Any = scope.get("route")
    if route is not None:
        return route.path
    endpoint: Any = scope.get("endpoint")  # of a route that is none of FastAPI's
    routes: Any = scope["app"].routes if endpoint is not None else ()
    found = (each.path for each in routes if getattr(each, "endpoint", None) is endpoint)
    return next(found, "none")
