"""Who sends a request: the holder of an API key, or an address."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from starlette.types import Scope

from penstock.serve.middleware.api_keys import ApiKeys, key_in_header

_CLIENT = "penstock.client"


def client_of(scope: Scope, keys: ApiKeys | None = None) -> str:
    """The holder of the request's key, or its address (of IPv6 the first 64 bits).

    An IPv6 network of 64 bits is the usual allocation of one client.
    """
    key = key_in_header(scope)
    holder = keys.holder(key) if keys is not None and key else None
    return scope.get(_CLIENT) or _key_name(holder) or _address(scope)


def note_holder(scope: Scope, holder: str) -> None:
    """Record whose key a request has, which may be in its body."""
    scope[_CLIENT] = _key_name(holder)


def _key_name(holder: str | None) -> str:
    return f"key {holder}" if holder else ""


def _address(scope: Scope) -> str:
    peer = scope.get("client")
    return _network(str(peer[0])) if peer else ""


@lru_cache(maxsize=256)
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
