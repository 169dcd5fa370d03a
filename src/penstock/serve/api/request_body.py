"""Parse and validate a request's body: JSON or a form."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from python_multipart import parse_form
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File
from starlette.requests import Request

from penstock.config.json_types import is_object
from penstock.config.option_model import first_problem, shorten
from penstock.errors import nearest
from penstock.serve.api.error_responses import RequestError

Model = TypeVar("Model", bound=BaseModel)

JSON = "application/json"
URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

_MOST_FIELDS = 1000


def content_type(request: Request) -> str:
    """The body's content type without parameters; empty if there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json(request: Request) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        RequestError: 400, the body has another type or is not a JSON object.
    """
    kind = content_type(request)
    if kind != JSON:
        raise RequestError(400, f"content-type: found {_found(kind)}; send {JSON}")
    return parse_json(await request.body())


async def read_fields(request: Request, *, lists: Iterable[str]) -> tuple[dict[str, Any], bool]:
    """Read the fields of a JSON object or a form, and return whether it was JSON.

    Args:
        request: the request.
        lists: fields that a form may repeat, which makes them lists. Of other repeated fields, the
            last one counts.

    Raises:
        RequestError: 400, the body is neither.
    """
    kind = content_type(request)
    if kind == JSON:
        return parse_json(await request.body()), True
    if kind == URLENCODED:
        pairs = _urlencoded(await request.body())
    elif kind == MULTIPART:
        pairs = _multipart(request.headers["content-type"], await request.body())
    else:
        raise RequestError(
            400, f"content-type: found {_found(kind)}; send {JSON}, {URLENCODED} or {MULTIPART}"
        )
    fields: dict[str, Any] = {}
    repeated = frozenset(lists)
    for name, value in pairs:
        if name in repeated:
            fields.setdefault(name, []).append(value)
        else:
            fields[name] = value
    for name in repeated & fields.keys():
        if len(fields[name]) == 1:
            fields[name] = fields[name][0]
    return fields, False


def parse_json(body: bytes) -> dict[str, Any]:
    """Parse a JSON object strictly (RFC 8259), without repeated names.

    Raises:
        RequestError: 400; the message says what is wrong, and where.
    """
    try:
        value: object = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_once,
            parse_constant=_no_constant,
            parse_float=_number,
        )
        if rb"\u" in body:  # only an escape can be a lone surrogate
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(
            400, f"body: byte {error.start} is not UTF-8; send UTF-8", code="not_utf8"
        ) from None
    except UnicodeEncodeError:
        raise RequestError(
            400,
            r"body: a lone surrogate (\ud800 to \udfff); send whole pairs or UTF-8",
            code="not_utf8",
        ) from None
    except RecursionError:
        raise RequestError(400, "body: nested too deeply; send one flat object") from None
    except ValueError as error:  # also an integer of thousands of digits
        reason = str(error) if isinstance(error, json.JSONDecodeError | _JsonError) else _LONG
        raise RequestError(400, f"body: not JSON: {reason}", code="not_json") from None
    if not is_object(value):
        raise RequestError(400, f"body: found {shorten(value)}; send a JSON object")
    return value


class _JsonError(ValueError):
    """Something that Python's parser accepts but JSON does not allow."""


_LONG = "a number has too many digits"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for name, content in pairs:
        if name in value:
            raise _JsonError(f"{shorten(name)} is repeated; keep one")
        value[name] = content
    return value


def _no_constant(name: str) -> float:
    raise _JsonError(f"{name} is not a JSON number; send a finite number")


def _number(text: str) -> float:
    """Parse a finite number; 2.0 becomes an integer, as in JSON Schema."""
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _JsonError(f"{shorten(text)} is too large; send a smaller number")
    return int(value) if value.is_integer() else value


def _urlencoded(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except UnicodeDecodeError:
        raise RequestError(400, "body: not UTF-8; send UTF-8", code="not_utf8") from None
    except ValueError:
        raise RequestError(400, f"body: more than {_MOST_FIELDS:,} form fields") from None


def _multipart(header: str, body: bytes) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []

    def add(field: Field) -> None:
        if len(pairs) >= _MOST_FIELDS:
            raise RequestError(400, f"body: more than {_MOST_FIELDS:,} form fields")
        pairs.append(((field.field_name or b"").decode(), (field.value or b"").decode()))

    def reject(_: File) -> None:
        raise RequestError(400, "body: found a file; send text fields only")

    try:
        parse_form({"Content-Type": header.encode("latin-1")}, io.BytesIO(body), add, reject)
    except FormParserError as error:
        raise RequestError(400, f"body: not {MULTIPART}: {error}") from None
    except UnicodeDecodeError:
        raise RequestError(400, "body: not UTF-8; send UTF-8", code="not_utf8") from None
    return pairs


def validated(model: type[Model], fields: Mapping[str, Any], *, strict: bool = True) -> Model:
    """Validate a request's fields.

    Args:
        model: the request; if it forbids extra fields, an unknown one is an error.
        fields: from `read_json` or `read_fields`.
        strict: for JSON, which distinguishes numbers from text.

    Raises:
        RequestError: 400, with place, value and remedy.
    """
    if model.model_config.get("extra") == "forbid":
        _reject_unknown(fields, model)
    try:
        return model.model_validate(fields, strict=strict)
    except ValidationError as error:
        raise RequestError(400, first_problem(error)) from None


def _reject_unknown(fields: Mapping[str, Any], model: type[BaseModel]) -> None:
    known = model.model_fields
    for name in fields:
        if name not in known:
            raise RequestError(
                400, f"unknown field {shorten(name)}; {nearest(name, known)}", code="unknown_field"
            )


def _found(kind: str) -> str:
    return shorten(kind) if kind else "none"
