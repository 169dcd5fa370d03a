"""Errors of a request, and their form in each API.

| path | form |
|---|---|
| `/v1/…` | `{"error": {"code": "too_long", "message": "…"}}` |
| `/v2/…` (DeepL's) | `{"message": "…"}` |
| all others (LibreTranslate's) | `{"error": "…"}` |
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from penstock.config.json_types import is_array, is_object
from penstock.errors import DataError, UsageError
from penstock.serve.service_errors import (
    DeadlineError,
    NotReadyError,
    OverBudgetError,
    UnavailableError,
    UnservedPairError,
)

_CODES = {
    400: "invalid",
    403: "forbidden",
    404: "not_found",
    405: "wrong_method",
    408: "too_slow",
    413: "too_large",
    421: "wrong_host",
    429: "too_many_requests",
    499: "client_gone",
    500: "internal",
    503: "overloaded",
}


class RequestError(Exception):
    """A request that is answered with an error.

    Args:
        status: the HTTP status.
        message: what was found, where, and the remedy.
        code: a word for programs; default: one for the status.
        retry_after: seconds after which to try again.
        headers: additional headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code or _CODES.get(status, "error")
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))


class ClientGoneError(Exception):
    """The client closed its connection before the answer was ready."""


def as_request_error(error: Exception) -> RequestError | None:
    """Convert an error caused by a request or by load; None for a bug of ours."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, UnservedPairError):
        return RequestError(400, str(error), code="unserved_pair")
    if isinstance(error, OverBudgetError):
        return RequestError(429, str(error), code="over_budget", retry_after=error.retry_after)
    if isinstance(error, UnavailableError):
        code = "not_ready" if isinstance(error, NotReadyError) else "overloaded"
        return RequestError(503, str(error), code=code, retry_after=error.retry_after)
    if isinstance(error, DeadlineError):
        message = "the request took too long; send less at a time, or try again later"
        return RequestError(503, message, code="deadline", retry_after=1)
    if isinstance(error, UsageError | DataError):
        return RequestError(400, str(error))
    if isinstance(error, ClientGoneError | ClientDisconnect):
        return RequestError(499, "the client closed the connection")
    return None


def error_content(path: str, error: RequestError) -> dict[str, Any]:
    """The error in the form of the path's API."""
    if path.startswith("/v1/"):
        return {"error": {"code": error.code, "message": error.message}}
    if path.startswith("/v2/"):
        return {"message": error.message}
    return {"error": error.message}


def error_response(path: str, error: RequestError) -> Response:
    """Answer with an error in the form of the path's API."""
    return json_response(error_content(path, error), status=error.status, headers=error.headers)


def json_response(
    content: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with JSON in UTF-8; a number that is not finite becomes null."""
    try:
        text = _dumps(content)
    except ValueError:  # rare, so not checked beforehand
        text = _dumps(_finite(content))
    return Response(
        text.encode(), status_code=status, headers=headers, media_type="application/json"
    )


def _dumps(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _finite(value: object) -> object:
    """Replace non-finite numbers by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_object(value):
        return {name: _finite(each) for name, each in value.items()}
    if is_array(value):
        return [_finite(each) for each in value]
    return value
