"""What the handlers of all APIs share: admission, limits, and translating texts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from starlette.requests import Request

from penstock.serve.api.disconnects import unless_gone
from penstock.serve.api.error_responses import RequestError
from penstock.serve.api.model_router import Route, route
from penstock.serve.api.text_layout import Text, split_lines
from penstock.serve.inference.worker import Worker
from penstock.serve.middleware.api_keys import ApiKeys, key_in_header
from penstock.serve.middleware.client import client_of, note_holder
from penstock.serve.middleware.request_log import note_texts
from penstock.serve.models.model_set import Models
from penstock.serve.settings import Settings
from penstock.tasks.translation.html_translation import HtmlText
from penstock.tasks.translation.result import Translation
from penstock.tasks.translation.search_options import SearchOptions
from penstock.text.html import visible_text
from penstock.text.language_detection import Detected

_LINES_PER_TEXT = 20  # on average over the texts that a request may have


@dataclass(frozen=True, slots=True)
class Service:
    """Models, worker, settings and keys.

    Attributes:
        models: the served models.
        worker: the inference threads.
        settings: the limits.
        keys: the API keys; None if no key is required.
        characters: characters translated since the start, by key holder (`""` without keys).
    """

    models: Models
    worker: Worker
    settings: Settings
    keys: ApiKeys | None
    characters: Counter[str] = field(default_factory=Counter[str])

    def admit(self, request: Request, *, key: object = None) -> str:
        """Check the API key in a request's header or body, and return its holder's name.

        Raises:
            RequestError: 403, the key is missing or wrong.
        """
        if self.keys is None:
            return ""
        key = key_in_header(request.scope) or key
        if not isinstance(key, str) or not key:
            raise RequestError(
                403,
                "an API key is required; send it as 'Authorization: Bearer KEY' or as the API "
                "documents it",
            )
        holder = self.keys.holder(key)
        if holder is None:
            raise RequestError(403, "unknown API key; ask the operator of this server for one")
        note_holder(request.scope, holder)
        return holder

    def check_texts(self, texts: Sequence[str], *, name: str) -> None:
        """Raise `RequestError` 400 for no text, too many texts or a text that is too long."""
        most, longest = self.settings.max_texts, self.settings.max_characters
        if not texts:
            raise RequestError(400, f"{name}: an empty list; give at least one text")
        if len(texts) > most:
            raise RequestError(
                400,
                f"{name}: {len(texts):,} texts; send at most {most:,} at a time",
                code="too_many",
            )
        for number, text in enumerate(texts):
            if len(text) > longest:
                place = name if len(texts) == 1 else f"{name}.{number}"
                raise RequestError(
                    400,
                    f"{place}: {len(text):,} characters; send at most {longest:,} per text",
                    code="too_long",
                )


@dataclass(frozen=True, slots=True)
class TextResult:
    """The result for one text.

    Attributes:
        source: the text.
        text: its lines.
        found: a translation of each line that is not blank.
        source_language, target_language: the model's.
        detected: the detected source language; None if the request named it.
    """

    source: str
    text: Text | HtmlText
    found: list[Translation]
    source_language: str
    target_language: str
    detected: Detected | None

    @property
    def translation(self) -> Translation:
        """The translation of the whole text."""
        return self.text.join(self.found)


async def translate_texts(
    service: Service,
    request: Request,
    texts: Sequence[str],
    *,
    source: str | None,
    target: str,
    options: SearchOptions,
    name: str,
    is_html: bool = False,
) -> list[TextResult]:
    """Translate texts, possibly in several languages, line by line.

    Args:
        service: the service.
        request: its body has been read; the work is dropped when its client disconnects.
        texts: the texts.
        source: language code, or None to detect it.
        target: language code.
        options: of the searches.
        name: the field's name, for messages.
        is_html: whether the texts are HTML, whose markup stays.

    Raises:
        RequestError: a limit is exceeded, or a language cannot be detected.
        UnservedPairError: no model has the languages.
        QueueFullError, DeadlineError: see `Worker.translate`.
        ClientGoneError: the client has disconnected.
    """
    service.check_texts(texts, name=name)
    note_texts(request.scope, len(texts))
    said = [visible_text(text) for text in texts] if is_html and source is None else texts
    routes = await route(service.models.current, said, source=source, target=target)
    cut: list[Text | HtmlText]
    if is_html:
        options = options.changed(alignments=True)
        cut = [HtmlText(text, way.translator.fits) for text, way in zip(texts, routes, strict=True)]
    else:
        cut = [split_lines(text) for text in texts]
    _check_lines(cut, most=_LINES_PER_TEXT * service.settings.max_texts, name=name)
    work = _by_translator(service, routes, cut, options, client=client_of(request.scope))
    found = await unless_gone(request.receive, work)
    return [
        TextResult(text, lines, results, way.source, way.target, way.detected)
        for text, lines, results, way in zip(texts, cut, found, routes, strict=True)
    ]


async def _by_translator(
    service: Service,
    routes: Sequence[Route],
    cut: Sequence[Text | HtmlText],
    options: SearchOptions,
    *,
    client: str,
) -> list[list[Translation]]:
    """Translate the lines of each text that are not blank, with one job per source language."""
    lines: dict[str, list[str]] = {way.source: [] for way in routes}
    translators = {way.source: way.translator for way in routes}
    for way, text in zip(routes, cut, strict=True):
        lines[way.source] += text.written

    async def job(source: str) -> Iterator[Translation]:
        if not lines[source]:
            return iter(())
        translations = await service.worker.translate(
            translators[source], lines[source], options,
            client=client, deadline=service.settings.deadline,
        )  # fmt: skip
        return iter(translations)

    # not a TaskGroup, which would raise an ExceptionGroup
    done = (
        await asyncio.gather(*map(job, lines)) if len(lines) > 1 else [await job(next(iter(lines)))]
    )
    results = dict(zip(lines, done, strict=True))
    return [
        [next(results[way.source]) for _ in text.written]
        for way, text in zip(routes, cut, strict=True)
    ]


def _check_lines(cut: Sequence[Text | HtmlText], *, most: int, name: str) -> None:
    """Reject so many lines that they would keep all other requests waiting."""
    lines = sum(len(text.written) for text in cut)
    if lines > most:
        raise RequestError(
            400, f"{name}: {lines:,} lines; send at most {most:,} at a time", code="too_many"
        )
