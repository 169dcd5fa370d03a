"""What every handler needs, and the way from texts to translations that all APIs share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from starlette.requests import Request

from penstock.serve.api.disconnects import unless_gone
from penstock.serve.api.error_responses import RequestError
from penstock.serve.api.language_detection import Detected
from penstock.serve.api.model_router import Route, route
from penstock.serve.api.text_layout import Text, join_translations, split_lines
from penstock.serve.inference.worker import Worker
from penstock.serve.middleware.api_keys import ApiKeys, key_in_header
from penstock.serve.middleware.request_log import note_texts
from penstock.serve.models.model_set import Models
from penstock.serve.settings import Settings
from penstock.tasks.translation.result import Translation
from penstock.tasks.translation.search_options import SearchOptions

_LINES_A_TEXT = 20  # of so many texts as a request may have


@dataclass(frozen=True, slots=True)
class Service:
    """The loaded models, who works with them, and who may ask.

    Attributes:
        models: what is served.
        worker: decodes.
        settings: limits.
        keys: of those who may ask; None: everybody may.
        characters: translated since the start, for each key holder (`""` without keys).
    """

    models: Models
    worker: Worker
    settings: Settings
    keys: ApiKeys | None
    characters: Counter[str] = field(default_factory=Counter[str])

    def admit(self, request: Request, *, key: object = None) -> str:
        """The name of who asks; empty when everybody may.

        Args:
            request: with or without a key in its header.
            key: one from its body.

        Raises:
            RequestError: 403, there is no key or a wrong one.
        """
        if self.keys is None:
            return ""
        given = key_in_header(request.scope) or key
        if not isinstance(given, str) or not given:
            raise RequestError(
                403,
                "an API key is needed; send it as 'Authorization: Bearer KEY' or as the API has it",
            )
        holder = self.keys.holder(given)
        if holder is None:
            raise RequestError(403, "the API key is not known here; ask who runs this server")
        return holder

    def check_texts(self, texts: Sequence[str], *, name: str) -> None:
        """Refuse too many texts, too long ones, and too many lines in all.

        Raises:
            RequestError: 400, with place, value and remedy.
        """
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
                    f"{place}: {len(text):,} characters; send at most {longest:,} in a text",
                    code="too_long",
                )


@dataclass(frozen=True, slots=True)
class TextResult:
    """What became of one text.

    Attributes:
        source: the text as given.
        text: its lines.
        found: a result for each line that is not blank.
        source_language, target_language: as served.
        detected: the source language and its confidence where it was detected; else None.
    """

    source: str
    text: Text
    found: list[Translation]
    source_language: str
    target_language: str
    detected: Detected | None

    @property
    def translation(self) -> Translation:
        """Of the whole text."""
        return join_translations(self.source, self.text, self.found)


async def translate_texts(
    service: Service,
    request: Request,
    texts: Sequence[str],
    *,
    source: str | None,
    target: str,
    options: SearchOptions,
    name: str,
) -> list[TextResult]:
    """Translate texts that may be of several languages, line by line.

    Args:
        service: who does it.
        request: whose body was read; the work is dropped when its client goes.
        texts: any number; too many are refused.
        source: a language, or None to detect each text's.
        target: a language.
        options: of the searches.
        name: of the texts in messages.

    Raises:
        RequestError: limits, and a language that cannot be detected.
        UnservedPairError: no model has the languages.
        QueueFullError, DeadlineError: see `Worker.translate`.
        ClientGoneError: nobody waits any more.
    """
    service.check_texts(texts, name=name)
    note_texts(request.scope, len(texts))
    routes = await route(service.models.current, texts, source=source, target=target)
    cut = [split_lines(text) for text in texts]
    _check_lines(cut, most=_LINES_A_TEXT * service.settings.max_texts, name=name)
    found = await unless_gone(request.receive, _by_translator(service, routes, cut, options))
    return [
        TextResult(text, lines, results, way.source, way.target, way.detected)
        for text, lines, results, way in zip(texts, cut, found, routes, strict=True)
    ]


async def _by_translator(
    service: Service, routes: Sequence[Route], cut: Sequence[Text], options: SearchOptions
) -> list[list[Translation]]:
    """A result for each written line of each text: one job for each source language."""
    lines: dict[str, list[str]] = {way.source: [] for way in routes}
    translators = {way.source: way.translator for way in routes}
    for way, text in zip(routes, cut, strict=True):
        lines[way.source] += text.written

    async def job(source: str) -> Iterator[Translation]:
        own = lines[source]
        if not own:
            return iter(())
        deadline = service.settings.deadline
        translator = translators[source]
        return iter(await service.worker.translate(translator, own, options, deadline=deadline))

    # all of them or none: a group's failure would come as a group of exceptions
    done = (
        await asyncio.gather(*map(job, lines)) if len(lines) > 1 else [await job(next(iter(lines)))]
    )
    results = dict(zip(lines, done, strict=True))
    return [
        [next(results[way.source]) for _ in text.written]
        for way, text in zip(routes, cut, strict=True)
    ]


def _check_lines(cut: Sequence[Text], *, most: int, name: str) -> None:
    """Refuse so many lines that they would keep all others waiting."""
    lines = sum(len(text.written) for text in cut)
    if lines > most:
        raise RequestError(
            400, f"{name}: {lines:,} lines; send at most {most:,} at a time", code="too_many"
        )
