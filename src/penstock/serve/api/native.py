"""`/v1`: everything that the models do, in our own form."""

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

from penstock.insight import as_json, inspect_sentence
from penstock.search import ShouldStop
from penstock.serve.api import native_types as forms
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
from penstock.serve.models.served_models import Serving
from penstock.tasks.classification.task import CLASSIFICATION
from penstock.tasks.cloze.task import CLOZE
from penstock.tasks.language_model.task import LANGUAGE_MODEL
from penstock.tasks.language_model.writing_options import WritingOptions
from penstock.tasks.translation.result import as_json_object
from penstock.tasks.translation.search_options import Phrases, SearchOptions

T = TypeVar("T")
Form = TypeVar("Form", bound=BaseModel)

_STREAM_SECONDS = 60.0  # of a whole text, read as it grows
_LAST_EVENT = 10**9
_ERRORS = (400, 403, 408, 413, 429, 503)


def add_routes(app: FastAPI, service: Service) -> None:
    """Add the paths to an application."""
    native = _Native(service)
    after = Parameter(
        name="after",
        description="The number of the first event; default: 0.",
        schema={"type": "integer", "minimum": 0, "maximum": _LAST_EVENT},
    )
    quick, missing = (403, 408, 413, 429), (400, 403, 404, 408, 413, 429)
    for path, operation in {
        "/v1/models": Operation(
            native.models, "What is served", answer=forms.ModelsAnswer, errors=quick
        ),
        "/v1/translate": Operation(
            native.translate, "Translate", request=forms.TranslateRequest,
            answer=forms.TranslateAnswer, errors=_ERRORS,
        ),
        "/v1/inspect": Operation(
            native.inspect, "Show how a translation comes about", request=forms.InspectRequest,
            answer=dict[str, Any], errors=_ERRORS,
        ),
        "/v1/classify": Operation(
            native.classify, "Label texts", request=forms.ClassifyRequest,
            answer=forms.ClassifyAnswer, errors=_ERRORS,
        ),
        "/v1/fill": Operation(
            native.fill, "Fill blanks in texts", request=forms.FillRequest,
            answer=forms.FillAnswer, errors=_ERRORS,
        ),
        "/v1/generate": Operation(
            native.generate, "Go on writing: `data: {\"text\": …}` events, then `event: done`",
            request=forms.GenerateRequest, errors=_ERRORS, stream=True,
        ),
        "/v1/run": Operation(
            native.run, "The events of a training", query=(after,), answer=forms.RunAnswer,
            errors=missing,
        ),
    }.items():  # fmt: skip
        add_operation(app, path, operation, tag="penstock", failure=forms.Failure)


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
                "run": None if settings.run is None else settings.run.resolve().name,
                "max_characters": settings.max_characters,
            }
        )

    async def translate(self, request: Request) -> Response:
        asked = await self._read(request, forms.TranslateRequest)
        options = asked.options(SearchOptions).changed(phrases=asked.options(Phrases))
        texts = [asked.texts] if isinstance(asked.texts, str) else asked.texts
        source, target = _languages(self._service.models.current, asked.source, asked.target)
        results = await translate_texts(
            self._service, request, texts,
            source=source, target=target, options=options, name="texts",
        )  # fmt: skip
        return json_response({"translations": [_translated(each) for each in results]})

    async def inspect(self, request: Request) -> Response:
        asked = await self._read(request, forms.InspectRequest)
        self._service.check_texts([asked.text], name="text")
        serving = self._service.models.current
        source, target = _languages(serving, asked.source, asked.target)
        (result,) = await route(serving, [asked.text], source=source, target=target)
        translator = serving.translator(result.source, result.target)
        options = asked.options(SearchOptions)
        inspection = await self._call(
            request,
            lambda stop: as_json(
                inspect_sentence(
                    translator, asked.text, options,
                    prefix=asked.prefix, exact=asked.exact, units=asked.units, should_stop=stop,
                )
            ),
        )  # fmt: skip
        return json_response(inspection)

    async def classify(self, request: Request) -> Response:
        asked = await self._read(request, forms.ClassifyRequest)
        texts = self._texts(asked.texts)
        model = self._service.models.current.classifier(asked.model)
        labels = await self._call(request, lambda _: model.classify(texts), texts=len(texts))
        return json_response({"labels": [asdict(label) for label in labels]})

    async def fill(self, request: Request) -> Response:
        asked = await self._read(request, forms.FillRequest)
        texts = self._texts(asked.texts)
        model = self._service.models.current.filler(asked.model)
        filled = await self._call(
            request,
            lambda stop: model.fill(
                texts, blank=asked.blank, n_best=asked.n_best, should_stop=stop
            ),
            texts=len(texts),
        )
        return json_response({"filled": [asdict(each) for each in filled]})

    async def generate(self, request: Request) -> Response:
        asked = await self._read(request, forms.GenerateRequest)
        self._service.check_texts([asked.prompt], name="prompt")
        model = self._service.models.current.generator(asked.model)
        options = asked.options(WritingOptions)
        pieces = self._service.worker.stream(
            partial(model.generate, asked.prompt, options), deadline=_STREAM_SECONDS
        )
        events = _events(pieces, unknown=model.unknown(asked.prompt))
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
                404, "no run is shown; start the server with --run RUN to see its curves"
            )
        return json_response(await asyncio.to_thread(read_events, run, after=int(after)))

    async def _read(self, request: Request, form: type[Form]) -> Form:
        self._service.admit(request)
        return validated(form, await read_json(request), refuse=True)

    def _texts(self, given: str | list[str]) -> list[str]:
        texts = [given] if isinstance(given, str) else given
        self._service.check_texts(texts, name="texts")
        return texts

    async def _call(
        self, request: Request, function: Callable[[ShouldStop], T], *, texts: int = 1
    ) -> T:
        """Work in the worker's thread, as long as the client and the deadline allow."""
        deadline = self._service.settings.deadline
        work = self._service.worker.call(function, deadline=deadline, texts=texts)
        return await unless_gone(request.receive, work)


def _pair(serving: Serving, source: str, target: str) -> dict[str, Any]:
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


def _languages(serving: Serving, source: str | None, target: str | None) -> tuple[str | None, str]:
    """The source, None where it is to be detected, and the target, the only one where unsaid.

    Raises:
        RequestError: 400, several targets would do.
    """
    if source is not None and source.strip().lower() == "auto":
        source = None
    if target is not None:
        return source, target
    wanted = None if source is None else served_code(source, {s for s, _ in serving.pairs})
    targets = sorted({t for s, t in serving.pairs if wanted in (None, s)})
    if len(targets) > 1:
        raise RequestError(400, f"target: missing; give one of {', '.join(targets)}")
    if not targets:
        serving.translator(source or "auto", "auto")  # says what is served
    return source, targets[0]


def _translated(result: TextResult) -> dict[str, Any]:
    return as_json_object(result.translation) | {
        "source_language": result.source_language,
        "target_language": result.target_language,
    }


async def _events(pieces: AsyncIterator[str], *, unknown: int) -> AsyncIterator[str]:
    """Server-sent events: the pieces, and `done` or `error` at the end."""
    try:
        async for piece in pieces:
            if piece:
                yield f"data: {json.dumps({'text': piece}, ensure_ascii=False)}\n\n"
    except Exception as error:
        refusal = as_request_error(error)
        if refusal is None:
            raise
        content = json.dumps(error_content("/v1/generate", refusal), ensure_ascii=False)
        yield f"event: error\ndata: {content}\n\n"
        return
    yield f"event: done\ndata: {json.dumps({'unknown': unknown})}\n\n"
