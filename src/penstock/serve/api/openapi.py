"""Descriptions of paths, from which FastAPI makes the OpenAPI schema; handlers read the body.

FastAPI's own parsing of bodies takes longer than the rest of a request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from starlette.requests import Request
from starlette.responses import Response

from penstock.config.json_types import is_array
from penstock.serve.api.request_body import JSON
from penstock.serve.models.served_models import ServedModels
from penstock.serve.settings import Settings

_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "deepl": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`DeepL-Auth-Key KEY`, as DeepL's clients send it.",
    },
}

Handler = Callable[[Request], Awaitable[Response]]

_WHY = {
    400: "The request is invalid; the message says what and where.",
    403: "The API key is missing or wrong.",
    404: "There is nothing with that name.",
    408: "The request arrived too slowly.",
    413: "The request is too large.",
    429: "Too many requests; wait as Retry-After says.",
    503: "Too busy, or not ready yet; try again later.",
}


def _texts(value: object) -> object:
    if isinstance(value, str) or (is_array(value) and all(isinstance(x, str) for x in value)):
        return value
    raise ValueError("give a text or a list of texts")


Texts = Annotated[
    str | list[str],
    BeforeValidator(_texts),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ]
        }
    ),
]

LanguageCode = Annotated[str, Field(max_length=40)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A query parameter."""

    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of a path.

    Attributes:
        handle: the handler.
        summary: one line.
        answer: type of the answer's JSON.
        request: fields of the body; None for GET.
        forms: accepted content types of the body.
        query: query parameters.
        errors: statuses besides 200.
        stream: whether the answer is a stream of events.
        is_open: whether no key is required, whatever the settings.
    """

    handle: Handler
    summary: str
    answer: Any = field(default=None, kw_only=True)
    request: type[BaseModel] | None = field(default=None, kw_only=True)
    forms: Sequence[str] = field(default=(JSON,), kw_only=True)
    query: Sequence[Parameter] = field(default=(), kw_only=True)
    errors: Sequence[int] = field(default=(400, 403, 408, 413, 429, 503), kw_only=True)
    stream: bool = field(default=False, kw_only=True)
    is_open: bool = field(default=False, kw_only=True)


def add_operation(
    app: FastAPI, path: str, operation: Operation, *, tag: str, failure: type[BaseModel]
) -> None:
    """Add a path; `failure` is the type of its errors."""
    extra: dict[str, Any] = {}
    if operation.request is not None:
        schema = operation.request.model_json_schema
        extra["requestBody"] = {
            "required": True,
            "content": {form: {"schema": schema()} for form in operation.forms},
        }
    if operation.query:
        extra["parameters"] = [
            {"name": p.name, "in": "query", "description": p.description, "schema": p.schema}
            for p in operation.query
        ]
    if operation.is_open:
        extra["security"] = []
    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": failure, "description": _WHY[status]} for status in operation.errors
    }
    if operation.stream:
        content: dict[str, Any] = {"text/event-stream": {}}
        responses[200] = {"description": "A stream of events.", "content": content}
    else:
        responses[200] = {"model": operation.answer, "description": "The answer."}
    app.add_api_route(
        path,
        operation.handle,
        methods=["GET" if operation.request is None else "POST"],
        summary=operation.summary,
        tags=[tag],
        responses=responses,
        response_model=None,
        openapi_extra=extra or None,
    )


def describe_served(schema: dict[str, Any], serving: ServedModels, settings: Settings) -> None:
    """Add the served languages, the limit of texts and the keys to a schema, in place.

    Other codes of a served language (`de_AT` for `de`) are accepted, but left out of the schema.
    """
    sources = sorted({source for source, _ in serving.pairs})
    targets = sorted({target for _, target in serving.pairs})
    languages = {
        "source": ["auto", *sources],
        "source_lang": ["", *(code.upper() for code in sources)],
        "target": targets,
        "target_lang": [code.upper() for code in targets],
    }
    for fields in _request_fields(schema):
        for name, codes in languages.items():
            if name in fields and codes:
                kinds = fields[name].get("anyOf", [fields[name]])
                next(kind for kind in kinds if kind["type"] == "string")["enum"] = codes
        for name in ("q", "text", "texts"):
            for kind in fields.get(name, {}).get("anyOf", ()):
                if kind["type"] == "array":
                    kind["maxItems"] = settings.max_texts
    if settings.api_keys is not None:
        schema.setdefault("components", {})["securitySchemes"] = _KEYS
        schema["security"] = [{name: []} for name in _KEYS]


def _request_fields(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in schema["paths"].values():
        for operation in path.values():
            for form in operation.get("requestBody", {}).get("content", {}).values():
                yield form["schema"]["properties"]
