"""Errors of the service; the APIs map each to an HTTP status."""

from __future__ import annotations

from penstock.errors import PenstockError, UsageError


class UnservedPairError(UsageError):
    """No loaded model serves this language pair or has this name (400)."""


class UnavailableError(PenstockError):
    """The service cannot accept this work now (503); `retry_after` is in seconds."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFullError(UnavailableError):
    """The queue is full (503)."""


class OverBudgetError(UnavailableError):
    """The client asks for more than its share of the machine (429).

    Args:
        cost: of the request, in seconds of one thread.
        pending: of the client's other requests.
        limit: of both together.
        retry_after: in seconds.
    """

    def __init__(self, *, cost: float, pending: float, limit: float, retry_after: float) -> None:
        others = f"{pending:.1f} s are pending, and " if pending else ""
        super().__init__(
            f"{others}this request takes about {cost:.1f} s of computing; at most {limit:.1f} s "
            "per client are accepted at a time: send less, or a narrower search, or wait as "
            "Retry-After says",
            retry_after=retry_after,
        )


class NotReadyError(UnavailableError):
    """The models are still loading, or the service is shutting down (503)."""


class DeadlineError(PenstockError):
    """The work missed its deadline (503)."""
