"""An exercise of the chapter: a number to be found, or a Python function to be written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Function = Callable[..., Any]


@dataclass(frozen=True)
class Said:
    """A text in both languages."""

    en: str
    zh: str


@dataclass(frozen=True)
class Question:
    """A number that the reader types into the page.

    Attributes:
        page: of the chapter, without `.md`.
        answer: the right number.
        why: it is right.
        mistakes: typical wrong numbers, and why each is wrong.
        tolerance: how far from a number still counts as that number.
    """

    name: str
    page: str
    prompt: Said
    answer: float
    why: Said
    mistakes: tuple[tuple[float, Said], ...]
    tolerance: float = 0.0005

    def as_json(self, language: str) -> dict[str, Any]:
        """What the page's script checks by (docs/assets/live/question.js)."""
        return {
            "answer": self.answer,
            "why": getattr(self.why, language),
            "mistakes": [[number, getattr(why, language)] for number, why in self.mistakes],
            "tolerance": self.tolerance,
        }


@dataclass(frozen=True)
class CodingTask:
    """A function that the reader writes into a file; `penstock learn check` compares it.

    Attributes:
        signature: the function's first line, without the colon.
        cases: arguments that it is called with, as JSON knows them.
        truth: what it must return for each, computed in another way where there is one.
        mistakes: typical wrong functions, and why each is wrong.
    """

    name: str
    page: str
    prompt: Said
    signature: str
    cases: tuple[tuple[Any, ...], ...]
    truth: Function
    mistakes: tuple[tuple[Function, Said], ...]

    @property
    def function(self) -> str:
        """Its name in the reader's file."""
        return self.signature.removeprefix("def ").partition("(")[0]


Exercise = Question | CodingTask
