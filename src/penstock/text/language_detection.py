# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# (py3langid declares no types)
"""Detect the language of a text, among a few or among all, with py3langid."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from penstock.errors import MissingExtraError, UsageError
from penstock.text.language_names import base_language

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_READ = 500  # characters to read; more only take time


@dataclass(frozen=True, slots=True)
class Detected:
    """A language and its confidence, from 0 to 1."""

    language: str
    confidence: float


class Detector:
    """Detects one of a set of languages. Thread-safe.

    py3langid's model (140 languages, half a second to load) is loaded once per process, when it is
    first needed. A language that it does not know is never detected.

    Args:
        languages: codes; a regional code (`pt-br`) stands for its base language.
    """

    def __init__(self, languages: Iterable[str]) -> None:
        self.languages = tuple(sorted(set(languages)))

    def rank(self, text: str) -> list[Detected]:
        """Rank the languages, the likeliest first.

        Returns:
            Only the languages that py3langid knows; a single language is always the answer.
        """
        if len(self.languages) == 1:
            return [Detected(self.languages[0], 1.0)]
        if self._identifier is None:
            return []
        known: dict[str, str] = {}
        for code in self.languages:  # of two with one base, the plain or first one wins
            known.setdefault(base_language(code), code)
        return [
            Detected(known[code], float(confidence))
            for code, confidence in self._identifier.rank(text.strip()[:_READ])
        ]

    @cached_property
    def _identifier(self) -> LanguageIdentifier | None:
        return _restricted(frozenset(map(base_language, self.languages)))


class LanguageCheck:
    """Compares a text's likeliest language, of all that py3langid knows, with the expected one.

    Args:
        language: the expected one's code; a regional code stands for its base language.

    Raises:
        UsageError: py3langid does not know it.
        MissingExtraError: py3langid is not installed.
    """

    def __init__(self, language: str) -> None:
        try:
            self._identifier = _whole()
        except ModuleNotFoundError:
            raise MissingExtraError("telling languages apart", "clean", "py3langid") from None
        self._expected = base_language(language)
        if self._expected not in self._identifier.labels:
            raise UsageError(
                f"language {language!r}: the detector does not know it; write a code such as en or "
                "zh, or leave this side's language out"
            )

    def compare(self, text: str) -> tuple[str, float]:
        """The likeliest language, and the expected one's probability as a multiple of its own."""
        ranked = dict(self._identifier.rank(text.strip()[:_READ]))
        likeliest = next(iter(ranked))
        return likeliest, float(ranked[self._expected] / ranked[likeliest])


def _restricted(languages: frozenset[str]) -> LanguageIdentifier | None:
    """Restrict py3langid's model to some languages; None if it knows none of them."""
    whole = _whole()
    known = languages & set(whole.labels)
    if not known:
        return None
    identifier = copy(whole)  # which shares the large tables
    identifier.set_languages(sorted(known))
    return identifier


_model: list[LanguageIdentifier] = []
_model_lock = threading.Lock()


def _whole() -> LanguageIdentifier:
    """The model of all languages, loaded once."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    with _model_lock:
        if not _model:
            _model.append(LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True))
        return _model[0]
