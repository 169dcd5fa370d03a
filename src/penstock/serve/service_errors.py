"""Why work is not done now or here; the APIs turn each into a status of HTTP."""

from __future__ import annotations

from penstock.errors import PenstockError, UsageError


class UnservedPairError(UsageError):
    """No loaded model translates this pair, or no model of this name is loaded (400)."""


class UnavailableError(PenstockError):
    """The service cannot take this work now (503).

    Args:
        message: why.
        retry_after: seconds after which to try again.
    """

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFullError(UnavailableError):
    """As many texts wait as may wait (503)."""


class NotReadyError(UnavailableError):
    """The models are still being loaded, or the service is about to end (503)."""


class DeadlineError(PenstockError):
    """The work was not done within its time (503)."""
