"""DeepL's API, version 2, as its official clients call it (https://developers.deepl.com/docs).

Unknown fields are ignored, as in DeepL. Fields that would change the text, such as a
glossary, are rejected.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel, Field, WithJsonSchema
from starlette.requests import Request
from starlette.responses import Response

from penstock.serve.api.error_responses import RequestError, json_response
from penstock.serve.api.openapi import LanguageCode, Operation, Parameter, Texts, add_operation
from penstock.serve.api.request_body import (
    JSON,
    MULTIPART,
    URLENCODED,
    content_type,
    read_fields,
    validated,
)
from penstock.serve.api.service import Service, translate_texts
from penstock.tasks.translation.search_options import SearchOptions
from penstock.text.language_names import base_language, language_name

_FORMS = (JSON, URLENCODED, MULTIPART)
_NO_LIMIT = 10**12  # DeepL's value for accounts without a limit
# DeepL's clients reject the plain code of these as a target
_VARIANTS = {"en": ("en-gb", "en-us"), "pt": ("pt-br", "pt-pt")}
_UNSUPPORTED = ("glossary_id", "glossary_ids", "style_id", "custom_instructions")
_Unsupported = Annotated[
    Any, WithJsonSchema({"enum": [None, "", []]}), Field(description="Rejected: leave it out.")
]


class TranslateRequest(BaseModel):
    """Texts to translate."""

    text: Annotated[Texts, Field(description="A text, or a list of texts.")]
    target_lang: Annotated[LanguageCode, Field(description="`DE`, `EN-US`, …")]
    source_lang: Annotated[
        LanguageCode | None, Field(description="`DE`, …; detected by default.")
    ] = None
    tag_handling: Annotated[
        Literal["html", "xml", ""] | None,
        Field(description="`html` or `xml`: only the text is translated."),
    ] = None
    glossary_id: _Unsupported = None
    glossary_ids: _Unsupported = None
    style_id: _Unsupported = None
    custom_instructions: _Unsupported = None
    formality: Annotated[
        Any,
        WithJsonSchema({"not": {"enum": ["more", "less"]}}),
        Field(description="`prefer_more` and `prefer_less` are ignored."),
    ] = None
    split_sentences: Annotated[Any, Field(description="Ignored.")] = None
    preserve_formatting: Annotated[Any, Field(description="Ignored: always preserved.")] = None
    show_billed_characters: Annotated[Any, Field(description="Ignored: always shown.")] = None


class LanguagesRequest(BaseModel):
    """Which languages to list; a query says the same."""

    type: Annotated[
        Literal["source", "target"], Field(description="Which languages; default: source.")
    ] = "source"


class TranslationOf(BaseModel):
    """The translation of one text."""

    detected_source_language: str
    text: str
    billed_characters: int


class TranslateAnswer(BaseModel):
    """One translation for each text, in order."""

    translations: list[TranslationOf]


class Language(BaseModel):
    """A supported language."""

    language: str
    name: str
    supports_formality: Annotated[bool | None, Field(description="For target languages only.")] = (
        None
    )


class Usage(BaseModel):
    """Characters translated for the key's holder since the server's start."""

    character_count: int
    character_limit: int


class Failure(BaseModel):
    """An error."""

    message: str


def add_routes(app: FastAPI, service: Service) -> None:
    """Add the paths to an application."""

    async def translate(request: Request) -> Response:
        fields, is_json = await read_fields(request, lists=("text",))
        holder = service.admit(request, key=fields.get("auth_key"))
        body = validated(TranslateRequest, fields, strict=is_json)
        _reject_unsupported(fields)
        return json_response(await _translate(service, request, body, holder))

    async def languages(request: Request) -> Response:
        service.admit(request)
        return json_response(_languages(service, await _side(request)))

    async def usage(request: Request) -> Response:
        holder = service.admit(request)
        count = service.characters[holder]
        return json_response({"character_count": count, "character_limit": _NO_LIMIT})

    side = Parameter(
        name="type",
        description="Which languages; default: source.",
        schema={"type": "string", "enum": ["source", "target"]},
    )
    for path, operation in {
        "/v2/translate": Operation(
            translate, "Translate", request=TranslateRequest, forms=_FORMS, answer=TranslateAnswer
        ),
        "/v2/languages": Operation(
            languages, "Supported languages", query=(side,), answer=list[Language]
        ),
        "/v2/usage": Operation(usage, "Characters translated", answer=Usage),
    }.items():
        add_operation(app, path, operation, tag="DeepL", failure=Failure)
    # as some clients do
    for path, operation in {
        "/v2/languages": Operation(
            languages, "Supported languages", query=(side,), answer=list[Language], method="POST",
            request=LanguagesRequest, forms=_FORMS, needs_body=False,
        ),
        "/v2/usage": Operation(usage, "Characters translated", answer=Usage, method="POST"),
    }.items():  # fmt: skip
        add_operation(app, path, operation, tag="DeepL", failure=Failure)


async def _translate(
    service: Service, request: Request, body: TranslateRequest, holder: str
) -> dict[str, Any]:
    texts = [body.text] if isinstance(body.text, str) else body.text
    results = await translate_texts(
        service,
        request,
        texts,
        source=body.source_lang or None,
        target=body.target_lang,
        options=SearchOptions(),
        name="text",
        is_html=bool(body.tag_handling),
    )
    service.characters[holder] += sum(map(len, texts))
    return {
        "translations": [
            {
                "detected_source_language": base_language(each.source_language).upper(),
                "text": each.translation.text,
                "billed_characters": len(each.source),
            }
            for each in results
        ]
    }


def _reject_unsupported(fields: dict[str, Any]) -> None:
    for name in _UNSUPPORTED:
        if fields.get(name) not in (None, "", []):
            raise RequestError(400, f"{name}: not supported; leave it out")
    if fields.get("formality") in ("more", "less"):
        raise RequestError(400, f"formality = {fields['formality']!r}: not supported; leave it out")


async def _side(request: Request) -> str:
    """`source` or `target`, from the query or from a form, as the official client sends it."""
    sides: list[Any] = request.query_params.getlist("type")
    if content_type(request) in _FORMS:
        fields, _ = await read_fields(request, lists=())
        sides += [fields["type"]] if "type" in fields else []
    if any(side not in ("source", "target") for side in sides):
        raise RequestError(400, "type: neither 'source' nor 'target'; give one of them, or none")
    return sides[-1] if sides else "source"


def _languages(service: Service, side: str) -> list[dict[str, Any]]:
    pairs = service.models.current.pairs
    if side == "source":
        codes = sorted({base_language(source) for source, _ in pairs})
        return [{"language": code.upper(), "name": language_name(code)} for code in codes]
    targets = sorted({target for _, target in pairs})
    return [
        {"language": code.upper(), "name": language_name(code), "supports_formality": False}
        for target in targets
        for code in _VARIANTS.get(target, (target,))
    ]
