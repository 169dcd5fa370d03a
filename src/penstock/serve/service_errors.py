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


class NotReadyError(UnavailableError):
    """The models are still loading, or the service is shutting down (503)."""


class DeadlineError(PenstockError):
    """The work missed its deadline (503)."""
