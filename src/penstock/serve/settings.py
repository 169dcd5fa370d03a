"""The service's settings."""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import UsageError

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s]+")
_HOST_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Limits, keys and proxies.

    Attributes:
        max_body: maximum bytes of a request's body.
        max_texts: maximum texts per request.
        max_characters: maximum characters per text.
        queue: maximum queued texts; further ones are rejected with 503 and Retry-After.
        batch_tokens: maximum source pieces per batch, padding included, for the model's default
            search; wider searches get fewer.
        parallel: number of batches computed in parallel, each in its own thread.
        max_wait: maximum seconds that an idle worker waits for a batch to fill.
        deadline: maximum seconds per request.
        rate: maximum requests per minute and client; None for no limit.
        api_keys: file of hashed keys; None if no key is needed.
        trusted_proxies: addresses and networks whose `X-Forwarded-For` is trusted.
        cors_origins: web origins whose pages may call the service.
        host_names: names of the service, besides `localhost` and addresses; `*` for any.
        run: run directory whose curves the page shows.

    Raises:
        UsageError: an impossible value.
    """

    max_body: int = 128 * 1024
    max_texts: int = 50
    max_characters: int = 5000
    queue: int = 256
    batch_tokens: int = 4096
    parallel: int = 1
    max_wait: float = 0.010
    deadline: float = 8.0
    rate: float | None = None
    api_keys: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    host_names: tuple[str, ...] = ()
    run: Path | None = None

    def __post_init__(self) -> None:
        for name, number in (
            ("max_body", self.max_body),
            ("max_texts", self.max_texts),
            ("max_characters", self.max_characters),
            ("queue", self.queue),
            ("batch_tokens", self.batch_tokens),
            ("parallel", self.parallel),
        ):
            if number < 1:
                raise UsageError(f"{name} {number}: must be at least 1")
        if not 0 <= self.max_wait <= 1:
            raise UsageError(f"max_wait {self.max_wait}: must be between 0 and 1 second")
        for name, value in (("deadline", self.deadline), ("rate", self.rate)):
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"{name} {value}: must be above 0 and finite")
        if self.queue < self.max_texts:
            raise UsageError(
                f"queue {self.queue}: must hold a request of max_texts {self.max_texts}; raise "
                "queue or lower max_texts"
            )
        for proxy in self.trusted_proxies:
            _check_proxy(proxy)
        for origin in self.cors_origins:
            if origin != "*" and _ORIGIN.fullmatch(origin) is None:
                raise UsageError(
                    f"cors_origin {origin!r}: not an origin; give one such as https://example.org, "
                    "without a path or a trailing slash, or *"
                )
        for name in self.host_names:
            if name != "*" and _HOST_NAME.fullmatch(name) is None:
                raise UsageError(
                    f"host_name {name!r}: not a name; give one such as translate.example.org, "
                    "without a scheme or a port, or *"
                )
        if self.run is not None and not self.run.is_dir():
            raise UsageError(f"run {self.run}: no such directory; give one of 'penstock train'")


def _check_proxy(text: str) -> None:
    """Raise `UsageError` unless the text is an address or a network."""
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise UsageError(
            f"trusted_proxy {text!r}: not an address or network: {error}; give one such as "
            "10.0.0.1 or 10.0.0.0/8"
        ) from None
