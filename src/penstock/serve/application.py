"""The ASGI application: routes, middleware and error handlers."""

from __future__ import annotations

from copy import deepcopy

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from penstock.errors import PenstockError
from penstock.serve.api import deepl, libretranslate, native
from penstock.serve.api.error_responses import (
    ClientGoneError,
    RequestError,
    as_request_error,
    error_response,
    json_response,
)
from penstock.serve.api.openapi import Operation, add_operation, describe_served
from penstock.serve.api.service import Service
from penstock.serve.inference.worker import Worker
from penstock.serve.middleware.api_keys import read_keys
from penstock.serve.middleware.body_limit import BodyLimit
from penstock.serve.middleware.origin_check import OriginCheck
from penstock.serve.middleware.rate_limit import RateLimit, TokenBuckets
from penstock.serve.middleware.request_log import RequestLog
from penstock.serve.middleware.security_headers import SECURITY_HEADERS, SecurityHeaders
from penstock.serve.models.model_set import Models
from penstock.serve.models.served_models import ServedModels
from penstock.serve.page_files import add_page, load_page
from penstock.serve.prometheus import CONTENT_TYPE
from penstock.serve.settings import Settings
from penstock.version import __version__

_DESCRIPTION = """Translation through LibreTranslate's API, DeepL's (`/v2`) and our own (`/v1`).
Bodies are JSON in UTF-8; the first two also accept forms. If keys are required, send them as
`Authorization: Bearer KEY`."""
_REASONS = {
    404: "there is no such path; /docs lists all paths",
    405: "the path does not accept this method; /docs lists the methods",
}


def create_app(models: Models, worker: Worker, settings: Settings) -> FastAPI:
    """Create the service.

    Args:
        models: the served models; a reload may replace them.
        worker: the inference threads.
        settings: limits, keys, proxies.

    Raises:
        DataError: an invalid key file.
    """
    keys = None if settings.api_keys is None else read_keys(settings.api_keys)
    service = Service(models, worker, settings, keys)
    app = FastAPI(
        title="penstock",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    _add_failures(app)
    _add_probes(app, service)
    native.add_routes(app, service)
    libretranslate.add_routes(app, service)
    deepl.add_routes(app, service)
    add_page(app, load_page())
    # the last one added is the outermost
    app.add_middleware(BodyLimit, most=settings.max_body)
    if settings.rate is not None:
        app.add_middleware(RateLimit, buckets=TokenBuckets(settings.rate), keys=keys)
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))
    app.add_middleware(OriginCheck, host_names=settings.host_names, origins=settings.cors_origins)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Retry-After"],
        )
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestLog, metrics=worker.metrics)
    return app


def _add_probes(app: FastAPI, service: Service) -> None:
    """Add `/health`, `/ready`, `/metrics` and `/openapi.json`."""

    async def health(_: Request) -> Response:
        return json_response({"status": "ok"})

    async def ready(_: Request) -> Response:
        models = service.models
        state = "draining" if models.draining else "ready" if models.ready else "loading"
        return json_response({"status": state}, status=200 if state == "ready" else 503)

    async def metrics(_: Request) -> Response:
        worker = service.worker
        return Response(worker.metrics.page(worker.waiting), headers={"Content-Type": CONTENT_TYPE})

    described: list[tuple[ServedModels, Response]] = []  # at most one: it takes a while to make

    async def schema(_: Request) -> Response:
        serving = service.models.current
        if not described or described[0][0] is not serving:
            content = deepcopy(app.openapi())
            describe_served(content, serving, service.settings)
            described[:] = [(serving, json_response(content))]
        return described[0][1]

    for path, operation in {
        "/health": Operation(
            health, "Whether the server is alive", answer=State, errors=(), is_open=True
        ),
        "/ready": Operation(
            ready, "Whether the models are ready", answer=State, errors=(503,), is_open=True
        ),
    }.items():
        add_operation(app, path, operation, tag="server", failure=State)
        # load balancers send HEAD; the server omits the body
        app.add_route(path, operation.handle, methods=["HEAD"], include_in_schema=False)
    app.add_route("/metrics", metrics, methods=["GET"], include_in_schema=False)
    app.add_route("/openapi.json", schema, methods=["GET"], include_in_schema=False)


def _methods(app: FastAPI, request: Request) -> list[str]:
    """The methods of a path, which several routes may have."""
    found = (r for r in app.routes if r.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for r in found for method in getattr(r, "methods", None) or ()})


class State(BaseModel):
    """`ok` from `/health`; `ready`, `loading` or `draining` from `/ready`."""

    status: str


def _add_failures(app: FastAPI) -> None:
    """Answer every error in its API's form, and a bug of ours without details."""

    async def answer(request: Request, error: Exception) -> Response:
        return error_response(request.url.path, as_request_error(error) or _BUG)

    async def answer_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = _REASONS.get(error.status_code, str(error.detail))
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_methods(app, request))
        rejection = RequestError(error.status_code, message, headers=headers)
        return error_response(request.url.path, rejection)

    async def answer_bug(request: Request, error: Exception) -> Response:
        # Starlette answers this one outside all middleware
        response = await answer(request, error)
        response.raw_headers.extend(SECURITY_HEADERS)
        return response

    for kind in (RequestError, ClientGoneError, ClientDisconnect, PenstockError):
        app.add_exception_handler(kind, answer)
    app.add_exception_handler(HTTPException, answer_http)
    app.add_exception_handler(Exception, answer_bug)


_BUG = RequestError(500, "internal error; the server's log has the details")
