"""LibreTranslate's API (https://docs.libretranslate.com); unknown fields are ignored, as there."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from penstock.serve.api.error_responses import json_response
from penstock.serve.api.model_router import rank_languages
from penstock.serve.api.openapi import LanguageCode, Operation, Texts, add_operation
from penstock.serve.api.request_body import JSON, MULTIPART, URLENCODED, read_fields, validated
from penstock.serve.api.service import Service, TextResult, translate_texts
from penstock.serve.api.text_layout import alternative_texts
from penstock.tasks.translation.search_options import SearchOptions
from penstock.text.language_names import language_name

_MOST_ALTERNATIVES = 15
_FORMS = (JSON, URLENCODED, MULTIPART)


class TranslateRequest(BaseModel):
    """Texts to translate."""

    q: Annotated[Texts, Field(description="A text, or a list of texts.")]
    source: Annotated[LanguageCode, Field(description="Language code, or `auto`.")]
    target: Annotated[LanguageCode, Field(description="Language code.")]
    format: Annotated[
        Literal["text", "html"], Field(description="`html`: only the text is translated.")
    ] = "text"
    alternatives: Annotated[
        int, Field(ge=0, le=_MOST_ALTERNATIVES, description="Number of alternative translations.")
    ] = 0
    api_key: str | None = None


class DetectRequest(BaseModel):
    """A text whose language to detect."""

    q: Annotated[str, Field(description="A text.")]
    api_key: str | None = None


class Guess(BaseModel):
    """A language and how likely it is, in percent."""

    confidence: float
    language: str


class TranslateAnswer(BaseModel):
    """The translations, in the form of `q`: one or a list."""

    translatedText: str | list[str]
    detectedLanguage: Annotated[
        Guess | list[Guess] | None, Field(description="With source `auto`.")
    ] = None
    alternatives: Annotated[
        list[str] | list[list[str]] | None, Field(description="If requested.")
    ] = None


class Language(BaseModel):
    """A source language and its target languages."""

    code: str
    name: str
    targets: list[str]


class Failure(BaseModel):
    """An error."""

    error: str


def add_routes(app: FastAPI, service: Service) -> None:
    """Add the paths to an application."""

    async def translate(request: Request) -> Response:
        fields, is_json = await read_fields(request, lists=("q",))
        service.admit(request, key=fields.get("api_key"))
        body = validated(TranslateRequest, fields, strict=is_json)
        return json_response(await _translate(service, request, body))

    async def detect(request: Request) -> Response:
        fields, is_json = await read_fields(request, lists=())
        service.admit(request, key=fields.get("api_key"))
        body = validated(DetectRequest, fields, strict=is_json)
        service.check_texts([body.q], name="q")
        return json_response(await _detect(service, body.q))

    async def languages(_: Request) -> Response:
        return json_response(_languages(service))

    async def settings(_: Request) -> Response:
        return json_response(_settings(service))

    for path, operation in {
        "/translate": Operation(
            translate, "Translate", request=TranslateRequest, forms=_FORMS, answer=TranslateAnswer
        ),
        "/detect": Operation(
            detect, "Detect a language", request=DetectRequest, forms=_FORMS, answer=list[Guess]
        ),
        "/languages": Operation(
            languages, "Supported languages", answer=list[Language], is_open=True
        ),
        "/frontend/settings": Operation(
            settings,
            "Settings for a web page",
            answer=dict[str, Any],
            is_open=True,
        ),
    }.items():
        add_operation(app, path, operation, tag="LibreTranslate", failure=Failure)


async def _translate(service: Service, request: Request, body: TranslateRequest) -> dict[str, Any]:
    texts = [body.q] if isinstance(body.q, str) else body.q
    is_auto = body.source.strip().lower() == "auto"
    results = await translate_texts(
        service,
        request,
        texts,
        source=None if is_auto else body.source,
        target=body.target,
        options=_options(service, body.alternatives),
        name="q",
        is_html=body.format == "html",
    )
    answer: dict[str, Any] = {"translatedText": [each.translation.text for each in results]}
    if is_auto:
        answer["detectedLanguage"] = [_guess(each) for each in results]
    if body.alternatives:
        answer["alternatives"] = [
            alternative_texts(each.text, each.found, body.alternatives) for each in results
        ]
    if isinstance(body.q, str):
        return {name: values[0] for name, values in answer.items()}
    return answer


def _options(service: Service, alternatives: int) -> SearchOptions:
    if not alternatives:
        return SearchOptions()
    n_best = alternatives + 1
    sizes = [t.bundle.config.search.beam_size for t in service.models.current.pairs.values()]
    return SearchOptions(n_best=n_best, beam_size=max([n_best, *sizes]))


def _guess(result: TextResult) -> dict[str, Any]:
    assert result.detected is not None
    return {
        "confidence": _percent(result.detected.confidence),
        "language": result.detected.language,
    }


def _percent(confidence: float) -> float:
    return round(100 * confidence, 1)


async def _detect(service: Service, text: str) -> list[dict[str, Any]]:
    sources = sorted({s for s, _ in service.models.current.pairs})
    (ranked,) = await rank_languages([text], sources)
    return [{"confidence": _percent(each.confidence), "language": each.language} for each in ranked]


def _languages(service: Service) -> list[dict[str, Any]]:
    pairs = service.models.current.pairs
    return [
        {
            "code": code,
            "name": language_name(code),
            "targets": sorted(t for s, t in pairs if s == code),
        }
        for code in sorted({code for pair in pairs for code in pair})
    ]


def _settings(service: Service) -> dict[str, Any]:
    pairs = list(service.models.current.pairs)
    source, target = pairs[0] if pairs else ("", "")
    return {
        "apiKeys": service.keys is not None,
        "charLimit": service.settings.max_characters,
        "filesTranslation": False,
        "frontendTimeout": 500,
        "keyRequired": service.keys is not None,
        "language": {
            "source": {"code": source, "name": language_name(source)},
            "target": {"code": target, "name": language_name(target)},
        },
        "suggestions": False,
        "supportedFilesFormat": [],
    }
