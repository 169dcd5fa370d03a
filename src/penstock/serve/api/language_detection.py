# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# (py3langid declares no types)
"""Which of the served languages a text is in, by py3langid."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from penstock.text.language_names import base_language

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_READ = 500  # characters that decide; more of them only take time


@dataclass(frozen=True, slots=True)
class Detected:
    """A language and how sure it is, from 0 to 1."""

    language: str
    confidence: float


class Detector:
    """Tells a set of languages apart. One value serves all threads.

    py3langid's model (140 languages, half a second to load) is loaded when it is first needed,
    once a process, and never when there is nothing to tell apart. A language that it does not
    know is never detected.

    Args:
        languages: codes; of a regional one (`pt-br`) the base decides.
    """

    def __init__(self, languages: Iterable[str]) -> None:
        self.languages = tuple(sorted(set(languages)))

    def rank(self, text: str) -> list[Detected]:
        """The languages by likelihood, the likeliest first.

        Args:
            text: any; a blank one is as likely in all.

        Returns:
            Only those that can be told apart from others; empty when there is none. A single
            language is always the one.
        """
        if len(self.languages) == 1:
            return [Detected(self.languages[0], 1.0)]
        if self._identifier is None:
            return []
        known: dict[str, str] = {}
        for code in self.languages:  # of two of one base the plain or first one stands for both
            known.setdefault(base_language(code), code)
        return [
            Detected(known[code], float(confidence))
            for code, confidence in self._identifier.rank(text.strip()[:_READ])
        ]

    @cached_property
    def _identifier(self) -> LanguageIdentifier | None:
        return _restricted(frozenset(map(base_language, self.languages)))


def _restricted(languages: frozenset[str]) -> LanguageIdentifier | None:
    """py3langid's model for some languages; None when it knows none of them."""
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
