"""`/v1`, our own API, which offers everything that the models do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from penstock.files import real_path
from penstock.insight import as_json, inspect_sentence
from penstock.search import ShouldStop
from penstock.serve.api import native_types as types
from penstock.serve.api.disconnects import unless_gone
from penstock.serve.api.error_responses import (
    RequestError,
    as_request_error,
    error_content,
    json_response,
)
from penstock.serve.api.model_router import route, served_code
from penstock.serve.api.openapi import Operation, Parameter, add_operation
from penstock.serve.api.request_body import read_json, validated
from penstock.serve.api.run_log import read_events
from penstock.serve.api.service import Service, TextResult, translate_texts
from penstock.serve.inference.call_costs import (
    classification_cost,
    cloze_cost,
    inspection_cost,
)
from penstock.serve.inference.cost import Cost
from penstock.serve.middleware.client import client_of
from penstock.serve.models.served_models import ServedModels
from penstock.tasks.classification.task import CLASSIFICATION
from penstock.tasks.cloze.task import CLOZE
from penstock.tasks.language_model.task import LANGUAGE_MODEL
from penstock.tasks.language_model.writing_options import WritingOptions
from penstock.tasks.translation.result import as_json_object
from penstock.tasks.translation.search_options import Phrases, SearchOptions

T = TypeVar("T")
Body = TypeVar("Body", bound=BaseModel)

_STREAM_SECONDS = 60.0  # deadline of a whole stream
_LAST_EVENT = 10**9
_ERRORS = (400, 403, 408, 413, 429, 503)


def add_routes(app: FastAPI, service: Service) -> None:
    """Add the paths to an application."""
    native = _Native(service)
    after = Parameter(
        name="after",
        description="Number of the first event; default: 0.",
        schema={"type": "integer", "minimum": 0, "maximum": _LAST_EVENT},
    )
    quick, missing = (403, 408, 413, 429), (400, 403, 404, 408, 413, 429)
    for path, operation in {
        "/v1/models": Operation(
            native.models, "Served models", answer=types.ModelsAnswer, errors=quick
        ),
        "/v1/translate": Operation(
            native.translate, "Translate", request=types.TranslateRequest,
            answer=types.TranslateAnswer, errors=_ERRORS,
        ),
        "/v1/inspect": Operation(
            native.inspect, "Show how a model translates a text", request=types.InspectRequest,
            answer=dict[str, Any], errors=_ERRORS,
        ),
        "/v1/classify": Operation(
            native.classify, "Label texts", request=types.ClassifyRequest,
            answer=types.ClassifyAnswer, errors=_ERRORS,
        ),
        "/v1/fill": Operation(
            native.fill, "Fill blanks in texts", request=types.FillRequest,
            answer=types.FillAnswer, errors=_ERRORS,
        ),
        "/v1/generate": Operation(
            native.generate, "Continue a text: `data: {\"text\": …}` events, then `event: done`",
            request=types.GenerateRequest, errors=_ERRORS, stream=True,
        ),
        "/v1/run": Operation(
            native.run, "The log of a training run", query=(after,), answer=types.RunAnswer,
            errors=missing,
        ),
    }.items():  # fmt: skip
        add_operation(app, path, operation, tag="penstock", failure=types.Failure)


class _Native:
    """The handlers."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def models(self, request: Request) -> Response:
        self._service.admit(request)
        serving, settings = self._service.models.current, self._service.settings
        return json_response(
            {
                "pairs": [_pair(serving, *pair) for pair in serving.pairs],
                "classifiers": _named(serving.of(CLASSIFICATION)),
                "fillers": _named(serving.of(CLOZE)),
                "generators": _named(serving.of(LANGUAGE_MODEL)),
                "run": None if settings.run is None else real_path(settings.run).name,
                "max_characters": settings.max_characters,
            }
        )

    async def translate(self, request: Request) -> Response:
        body = await self._read(request, types.TranslateRequest)
        options = body.options(SearchOptions).changed(phrases=body.options(Phrases))
        texts = [body.texts] if isinstance(body.texts, str) else body.texts
        source, target = _languages(self._service.models.current, body.source, body.target)
        results = await translate_texts(
            self._service, request, texts,
            source=source, target=target, options=options, name="texts",
        )  # fmt: skip
        return json_response({"translations": [_translated(each) for each in results]})

    async def inspect(self, request: Request) -> Response:
        body = await self._read(request, types.InspectRequest)
        self._service.check_texts([body.text], name="text")
        serving = self._service.models.current
        source, target = _languages(serving, body.source, body.target)
        (result,) = await route(serving, [body.text], source=source, target=target)
        translator = serving.translator(result.source, result.target)
        options = body.options(SearchOptions)
        cost = await inspection_cost(translator, body.text, options, exact=body.exact)
        inspection = await self._call(
            request,
            cost,
            lambda stop: as_json(
                inspect_sentence(
                    translator, body.text, options,
                    prefix=body.prefix, exact=body.exact, units=body.units, should_stop=stop,
                )
            ),
        )  # fmt: skip
        return json_response(inspection)

    async def classify(self, request: Request) -> Response:
        body = await self._read(request, types.ClassifyRequest)
        texts = self._texts(body.texts)
        model = self._service.models.current.classifier(body.model)
        labels = await self._call(
            request,
            await classification_cost(model, texts),
            lambda stop: model.classify(
                texts, min_confidence=body.min_confidence, should_stop=stop
            ),
            texts=len(texts),
        )
        return json_response({"labels": [asdict(label) for label in labels]})

    async def fill(self, request: Request) -> Response:
        body = await self._read(request, types.FillRequest)
        texts = self._texts(body.texts)
        model = self._service.models.current.filler(body.model)
        filled = await self._call(
            request,
            await cloze_cost(model, texts, blank=body.blank),
            lambda stop: model.fill(
                texts,
                blank=body.blank,
                n_best=body.n_best,
                min_confidence=body.min_confidence,
                should_stop=stop,
            ),
            texts=len(texts),
        )
        return json_response({"filled": [asdict(each) for each in filled]})

    async def generate(self, request: Request) -> Response:
        body = await self._read(request, types.GenerateRequest)
        self._service.check_texts([body.prompt], name="prompt")
        model = self._service.models.current.generator(body.model)
        options = body.options(WritingOptions)
        pieces = self._service.worker.stream(
            partial(model.generate, body.prompt, options),
            cost=Cost(model, "generate", options.length),
            client=client_of(request.scope),
            deadline=_STREAM_SECONDS,
        )
        events = _events(pieces, unknown=model.unknown(body.prompt))
        return StreamingResponse(
            events, media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def run(self, request: Request) -> Response:
        self._service.admit(request)
        after = request.query_params.get("after", "0")
        is_number = after.isascii() and after.isdigit() and len(after) <= len(str(_LAST_EVENT))
        if not (is_number and int(after) <= _LAST_EVENT):
            raise RequestError(
                400, f"after = {after[:20]!r}: must be a number from 0 to {_LAST_EVENT:,}"
            )
        run = self._service.settings.run
        if run is None:
            raise RequestError(
                404, "no run is served; start the server with --run RUN to see its curves"
            )
        return json_response(await asyncio.to_thread(read_events, run, after=int(after)))

    async def _read(self, request: Request, body_type: type[Body]) -> Body:
        self._service.admit(request)
        return validated(body_type, await read_json(request))

    def _texts(self, value: str | list[str]) -> list[str]:
        texts = [value] if isinstance(value, str) else value
        self._service.check_texts(texts, name="texts")
        return texts

    async def _call(
        self, request: Request, cost: Cost, function: Callable[[ShouldStop], T], *, texts: int = 1
    ) -> T:
        """Call a function in an inference thread until the deadline or a disconnect."""
        work = self._service.worker.call(
            function, cost=cost, client=client_of(request.scope), texts=texts,
            deadline=self._service.settings.deadline,
        )  # fmt: skip
        return await unless_gone(request.receive, work)


def _pair(serving: ServedModels, source: str, target: str) -> dict[str, Any]:
    translator = serving.translator(source, target)
    config = translator.bundle.config
    return {
        "source": source,
        "target": target,
        "name": serving.names[source, target],
        "cell": config.model.cell,
        "attention": config.model.attention,
        "beam_size": config.search.beam_size,
    }


def _named(models: Mapping[str, object]) -> list[dict[str, str]]:
    return [{"name": name} for name in models]


def _languages(
    serving: ServedModels, source: str | None, target: str | None
) -> tuple[str | None, str]:
    """Resolve the languages: a source to detect becomes None, a missing target the only one.

    Raises:
        RequestError: 400, there are several targets.
    """
    if source is not None and source.strip().lower() == "auto":
        source = None
    if target is not None:
        return source, target
    code = None if source is None else served_code(source, {s for s, _ in serving.pairs})
    targets = sorted({t for s, t in serving.pairs if code in (None, s)})
    if len(targets) > 1:
        raise RequestError(400, f"target: missing; give one of {', '.join(targets)}")
    if not targets:
        serving.translator(source or "auto", "auto")  # raises an error that lists what is served
    return source, targets[0]


def _translated(result: TextResult) -> dict[str, Any]:
    return as_json_object(result.translation) | {
        "source_language": result.source_language,
        "target_language": result.target_language,
    }


async def _events(pieces: AsyncIterator[str], *, unknown: int) -> AsyncIterator[str]:
    """Yield server-sent events: the pieces, then `done` or `error`."""
    try:
        async for piece in pieces:
            if piece:
                yield f"data: {json.dumps({'text': piece}, ensure_ascii=False)}\n\n"
    except Exception as error:
        rejection = as_request_error(error)
        if rejection is None:
            raise
        content = json.dumps(error_content("/v1/generate", rejection), ensure_ascii=False)
        yield f"event: error\ndata: {content}\n\n"
        return
    yield f"event: done\ndata: {json.dumps({'unknown': unknown})}\n\n"
