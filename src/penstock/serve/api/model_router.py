"""Select the model for a text by the requested or the detected language."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from penstock.serve.api.error_responses import RequestError
from penstock.serve.models.served_models import ServedModels
from penstock.tasks.translation.translator import Translator
from penstock.text.language_detection import Detected, Detector
from penstock.text.language_names import base_language


@dataclass(frozen=True, slots=True)
class Route:
    """The model for a text.

    Attributes:
        source, target: served languages.
        translator: their model.
        detected: the detected source language; None if the request named it.
    """

    source: str
    target: str
    translator: Translator
    detected: Detected | None


async def route(
    serving: ServedModels, texts: Sequence[str], *, source: str | None, target: str
) -> list[Route]:
    """Route each text; if `source` is None, it is detected among the sources of the target.

    Raises:
        RequestError: 400, a language cannot be detected.
        UnservedPairError: no model has the languages.
    """
    target = served_code(target, {t for _, t in serving.pairs})
    if source is not None:
        source = served_code(source, {s for s, _ in serving.pairs})
        return [Route(source, target, serving.translator(source, target), None)] * len(texts)
    return [
        Route(each.language, target, serving.translator(each.language, target), each)
        for each in await _detect(serving, texts, target)
    ]


async def _detect(serving: ServedModels, texts: Sequence[str], target: str) -> list[Detected]:
    """Detect the language of each text among the sources of the target."""
    sources = sorted(s for s, t in serving.pairs if t == target)
    if not sources:
        serving.translator("auto", target)  # raises an error that lists what is served
    ranked = await rank_languages(texts, sources)
    if not all(ranked):
        raise RequestError(
            400,
            f"source: the language cannot be detected among {', '.join(sources)}; name it",
            code="undetectable",
        )
    return [each[0] for each in ranked]


async def rank_languages(texts: Sequence[str], among: Iterable[str]) -> list[list[Detected]]:
    """Rank the languages of each text (see `Detector.rank`)."""
    detector = _detector(tuple(among))
    if len(detector.languages) <= 1:
        return [detector.rank(text) for text in texts]
    # loading takes half a second, a text half a millisecond: do not block the event loop
    return await asyncio.to_thread(lambda: [detector.rank(text) for text in texts])


@lru_cache(maxsize=16)
def _detector(languages: tuple[str, ...]) -> Detector:
    return Detector(languages)


def served_code(code: str, served: Collection[str]) -> str:
    """Resolve a code to a served language: itself, its base (`en` for `EN-US`) or its only variant.

    A language that is not served is returned in lower case.
    """
    code = code.strip().lower().replace("_", "-")
    if code in served:
        return code
    base = base_language(code)
    if base in served:
        return base
    variants = [each for each in served if base_language(each) == base]
    return variants[0] if len(variants) == 1 else code
