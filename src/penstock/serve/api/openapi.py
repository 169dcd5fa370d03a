"""Descriptions of paths, from which FastAPI makes the OpenAPI schema; handlers read the body.

FastAPI's own parsing of bodies takes longer than the rest of a request.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema
from starlette.requests import Request
from starlette.responses import Response

from penstock.config.json_types import is_array
from penstock.serve.api.request_body import JSON
from penstock.serve.models.served_models import ServedModels
from penstock.serve.settings import Settings
from penstock.tasks.classification.task import CLASSIFICATION
from penstock.tasks.cloze.task import CLOZE
from penstock.tasks.language_model.task import LANGUAGE_MODEL

_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "deepl": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`DeepL-Auth-Key KEY`, as DeepL's clients send it.",
    },
}

_TASKS = {"/v1/classify": CLASSIFICATION, "/v1/fill": CLOZE, "/v1/generate": LANGUAGE_MODEL}

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

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

# what `is_blank` calls blank: white space, and control and format characters
_BLANK = (
    r"\s\u0000-\u001f\u007f-\u009f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e"
    r"\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0001-\U000e007f"
)
Written = Annotated[str, Field(json_schema_extra={"pattern": f"[^{_BLANK}]"})]

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
        request: fields of the body.
        method: default: POST with a body, else GET.
        needs_body: whether a request without a body is an error.
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
    method: Literal["GET", "POST"] | None = field(default=None, kw_only=True)
    needs_body: bool = field(default=True, kw_only=True)
    forms: Sequence[str] = field(default=(JSON,), kw_only=True)
    query: Sequence[Parameter] = field(default=(), kw_only=True)
    errors: Sequence[int] = field(default=(400, 403, 408, 413, 429, 503), kw_only=True)
    stream: bool = field(default=False, kw_only=True)
    is_open: bool = field(default=False, kw_only=True)


class _PlainRoute(APIRoute):
    """A route whose handler takes the request as it is: FastAPI has nothing to inject."""

    def get_route_handler(self) -> Handler:
        """The handler itself."""
        return self.endpoint


def add_operation(
    app: FastAPI, path: str, operation: Operation, *, tag: str, failure: type[BaseModel]
) -> None:
    """Add a path; `failure` is the type of its errors."""
    extra: dict[str, Any] = {}
    if operation.request is not None:
        extra["requestBody"] = {
            "required": operation.needs_body,
            "content": {
                form: {"schema": _schema_of(operation.request, form)} for form in operation.forms
            },
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
    app.router.add_api_route(
        path,
        operation.handle,
        route_class_override=_PlainRoute,
        methods=[operation.method or ("GET" if operation.request is None else "POST")],
        summary=operation.summary,
        tags=[tag],
        responses=responses,
        response_model=None,
        openapi_extra=extra or None,
    )


def _schema_of(request: type[BaseModel], form: str) -> dict[str, Any]:
    schema = request.model_json_schema()
    if form != JSON:  # which has no null
        for name, kind in schema["properties"].items():
            texts = [each for each in kind.pop("anyOf", []) if each.get("type") != "null"]
            if len(texts) == 1:
                schema["properties"][name] = kind | texts[0]
            elif texts:
                kind["anyOf"] = texts
            if "enum" in kind:
                kind["enum"] = [value for value in kind["enum"] if isinstance(value, str)]
    return schema


def describe_served(schema: dict[str, Any], serving: ServedModels, settings: Settings) -> None:
    """Add the served languages and models, the limits and the keys to a schema, in place.

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
    for path, request in _requests(schema):
        fields = request["properties"]
        for name, codes in languages.items():
            if name in fields and codes:
                _string(fields[name])["enum"] = codes
        for name in ("q", "text", "texts", "prompt"):
            _describe_texts(fields.get(name, {}), settings)
        task = _TASKS.get(path)
        if task is None:
            models = [serving.translator(*pair) for pair in serving.pairs]
        else:
            models = list(serving.of(task).values())
        if any(model.bundle.confidence is None for model in models):
            fields.pop("min_confidence", None)  # rejected for such a model
        if task is not None and serving.of(task):
            names = sorted(serving.of(task))
            _string(fields["model"])["enum"] = names
            if len(names) > 1:
                request.setdefault("required", []).append("model")
                fields["model"] = _string(fields["model"])
    if settings.api_keys is not None:
        schema.setdefault("components", {})["securitySchemes"] = _KEYS
        schema["security"] = [{name: []} for name in _KEYS]


def _describe_texts(field: dict[str, Any], settings: Settings) -> None:
    for kind in field.get("anyOf", [field]):
        if kind.get("type") == "array":
            kind["maxItems"] = settings.max_texts
            kind = kind["items"]
        if kind.get("type") == "string":
            kind["maxLength"] = settings.max_characters


def _string(field: dict[str, Any]) -> dict[str, Any]:
    kinds = field.get("anyOf", [field])
    return next(kind for kind in kinds if kind["type"] == "string")


def _requests(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in schema["paths"].items():
        for operation in item.values():
            for form in operation.get("requestBody", {}).get("content", {}).values():
                yield path, form["schema"]
