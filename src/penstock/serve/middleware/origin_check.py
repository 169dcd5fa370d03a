"""Protect the service from pages of other sites that a browser on this network has open.

A page of another site can send requests here in two ways. It can rebind a name of its own to our
address (DNS rebinding): then `Host` is that name. Or it can post a form or a simple request without
asking (CSRF): then `Sec-Fetch-Site` or `Origin` names another origin; the rules are those of Go's
`http.CrossOriginProtection`. Programs send neither header and are not affected.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from penstock.serve.api.error_responses import RequestError, error_response

_PROBES = ("/health", "/ready")  # they reveal nothing, and load balancers have names of their own
_SAFE = ("GET", "HEAD", "OPTIONS")  # these change nothing and cost little
_SAME = ("same-origin", "none")  # `none`: the user's own doing


class OriginCheck:
    """Answer 421 to requests for another host, and 403 to posts from another origin.

    Addresses are always ours: a page needs a name to rebind.

    Args:
        app: the inner application.
        host_names: names of this service besides `localhost`; `*` for any.
        origins: other web origins whose pages may post; `*` for any.
    """

    def __init__(self, app: ASGIApp, *, host_names: Iterable[str], origins: Iterable[str]) -> None:
        self._app = app
        self._host_names = frozenset(name.lower() for name in host_names)
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or reject it."""
        error = self._error(scope) if scope["type"] == "http" else None
        if error is None:
            await self._app(scope, receive, send)
        else:
            await error_response(str(scope["path"]), error)(scope, receive, send)

    def _error(self, scope: Scope) -> RequestError | None:
        hosts = _values(scope, b"host")
        if scope["path"] not in _PROBES and not all(map(self._is_own_host, hosts)):
            return RequestError(
                421,
                f"Host = {hosts[0][:100]!r}: not a name of this service; use its address, or start "
                "it with --host-name NAME",
            )
        if scope["method"] in _SAFE or self._is_trusted(scope, hosts):
            return None
        return RequestError(
            403,
            "this request comes from a page of another site; to allow its pages, start the "
            "service with --cors-origin ORIGIN",
            code="cross_site",
        )

    def _is_own_host(self, host: str) -> bool:
        name = host_of(f"//{host}")
        return name is not None and (
            "*" in self._host_names
            or name in self._host_names
            or name == "localhost"
            or name.endswith(".localhost")
            or is_address(name)
        )

    def _is_trusted(self, scope: Scope, hosts: list[str]) -> bool:
        origins = _values(scope, b"origin")
        if "*" in self._origins or (origins and self._origins.issuperset(origins)):
            return True
        if sites := _values(scope, b"sec-fetch-site"):
            return all(site in _SAME for site in sites)
        # an older browser, or a page that is not served over TLS
        return all(
            urlsplit(origin).netloc.lower() in [host.lower() for host in hosts]
            or host_of(origin) in self._host_names  # a proxy may have set Host
            for origin in origins
        )


def host_of(url: str) -> str | None:
    """The host of a URL in lower case, without its port; None if it has none."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no port
    except ValueError:
        return None
    is_host = parts.path == parts.query == parts.fragment == "" and parts.username is None
    return (parts.hostname or "").rstrip(".") or None if is_host else None


@lru_cache(maxsize=16)
def is_address(host: str) -> bool:
    """Whether a host is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]
