"""Lines in another case than the training text: read in its case, capitals restored on output.

`GUTEN TAG!` means nothing to a model that saw `Guten Tag!`. What is restored is what can be known:
a line all in capitals gets an output in capitals. Words keep the capitals that they usually have
inside a sentence, as in Moses' truecaser (https://aclanthology.org/P07-2045/).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Self, cast, final, get_args

from penstock.config.json_types import are_texts, is_object

Reads = Literal["keep", "lower", "upper"]

_FEW_LETTERS = 4  # fewer, as in `USA`, say nothing of a line
_FEW_LINES = 20  # fewer say nothing of a corpus
_RARE, _NEVER = 0.005, 0.001  # shares of the training lines
_MOST_FORMS = 5000
_WORD = re.compile(r"[^\W\d_][\w'’]*")
_DOTLESS = ("tr", "az")
_LOWER_I = str.maketrans({"I": "ı", "İ": "i"})
_UPPER_I = str.maketrans({"ı": "I", "i": "İ"})


class Reading(NamedTuple):
    """A line as a model reads it, and whether its output is to be in capitals."""

    text: str
    capitals: bool = False


@final
@dataclass(frozen=True, slots=True)
class LetterCase:
    """The case of a training text, and what is done with lines in another.

    Attributes:
        reads: the case in which the model reads every line; `keep`: as it is written, unless the
            line is unlike the training text.
        unlike: what the training text hardly has: lines in `capitals`, or `small` ones without.
        initial: its lines begin with a capital.
        restores: its targets have capitals, so that an output can be put in capitals.
        dotless: `I` is the capital of `ı`, as in Turkish.
        forms: words that usually have capitals, the most frequent first.
    """

    reads: Reads = "keep"
    unlike: tuple[str, ...] = ()
    initial: bool = False
    restores: bool = False
    dotless: bool = False
    forms: tuple[str, ...] = ()
    _by_lower: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_lower", {self.lower(form): form for form in self.forms})

    @classmethod
    def learn(
        cls,
        mode: Literal["lower", "auto"],
        pairs: Iterable[tuple[str, str]],
        *,
        restores: bool = True,
        language: str | None = None,
    ) -> Self | None:
        """Describe the case of training pairs; None if no line can be unlike them.

        Args:
            mode: `lower` makes the model read lower case; `auto`: the case of the training text.
            pairs: sources and targets.
            restores: whether an output may be put in capitals, if targets have any.
            language: of the source.
        """
        dotless = language is not None and language.lower().partition("-")[0] in _DOTLESS
        lines: Counter[str] = Counter()
        words: Counter[str] = Counter()
        for source, target in pairs:
            has_capitals, has_small = _cases(target)
            lines["target"] += has_capitals or has_small
            lines["capital target"] += has_capitals
            has_capitals, has_small = _cases(source)
            if not (has_capitals or has_small) or _count_letters(source) < _FEW_LETTERS:
                continue
            lines["all"] += 1
            lines["capitals"] += not has_small
            lines["small"] += not has_capitals
            lines["some small"] += has_small
            lines["initial"] += next(c for c in source if c.isupper() or c.islower()).isupper()
            if mode == "auto" and has_capitals and has_small:
                words.update(_WORD.findall(source)[1:])
        restores = restores and lines["capital target"] > _RARE * lines["target"]
        if mode == "lower":
            return cls("lower", restores=restores, dotless=dotless)
        total = lines["all"]
        if total < _FEW_LINES:
            return None
        if lines["small"] >= (1 - _NEVER) * total:
            return cls("lower", restores=restores, dotless=dotless)
        if lines["some small"] <= _NEVER * total:
            return cls("upper", dotless=dotless)
        unlike = tuple(name for name in ("capitals", "small") if lines[name] <= _RARE * total)
        if not unlike:
            return None
        bare = cls(dotless=dotless)
        return cls(
            "keep",
            unlike,
            initial=2 * lines["initial"] > total,
            restores=restores,
            dotless=dotless,
            forms=tuple(_usual_forms(words, bare)),
        )

    def read(self, text: str, keep: Sequence[str] = ()) -> Reading:
        """A line in the case of the training text.

        Args:
            text: a line.
            keep: parts of it that stay as they are, such as placeholders.
        """
        pieces = _pieces(text, keep)
        free = "".join(pieces[::2])
        has_capitals, has_small = _cases(free)
        if self.reads == "keep" and has_capitals == has_small:
            return Reading(text)
        is_line = _count_letters(free) >= _FEW_LETTERS
        if self.reads == "lower":
            read = self._on_free(pieces, self.lower)
        elif self.reads == "upper":
            read = self._on_free(pieces, self.upper)
        elif ("capitals" if has_capitals else "small") in self.unlike and is_line:
            read = self._sentence([p if i % 2 else self._usual(p) for i, p in enumerate(pieces)])
        else:
            return Reading(text)
        return Reading(read, self.restores and is_line and has_capitals and not has_small)

    def capitals(self, text: str, keep: Sequence[str] = ()) -> str:
        """An output in capitals, except the parts in `keep`."""
        return self._on_free(_pieces(text, keep), str.upper)

    def lower(self, text: str) -> str:
        """Lower case."""
        return (text.translate(_LOWER_I) if self.dotless else text).lower()

    def upper(self, text: str) -> str:
        """Upper case."""
        return (text.translate(_UPPER_I) if self.dotless else text).upper()

    def to_plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "reads": self.reads,
            "unlike": list(self.unlike),
            "initial": self.initial,
            "restores": self.restores,
            "dotless": self.dotless,
            "forms": list(self.forms),
        }

    @classmethod
    def from_plain(cls, content: Any) -> Self:
        """Read and check the result of `to_plain`.

        Raises:
            ValueError: it is damaged.
        """
        if is_object(content):
            reads, unlike, forms = (content.get(key) for key in ("reads", "unlike", "forms"))
            initial, restores, dotless = (
                content.get(key) for key in ("initial", "restores", "dotless")
            )
            if (
                reads in get_args(Reads)
                and are_texts(unlike)
                and are_texts(forms)
                and isinstance(initial, bool)
                and isinstance(restores, bool)
                and isinstance(dotless, bool)
            ):
                case = cast(Reads, reads)
                return cls(case, tuple(unlike), initial, restores, dotless, tuple(forms))
        raise ValueError("damaged tokenizer: its letter case is not one")

    def _usual(self, text: str) -> str:
        """Lower case, but for words that usually have capitals."""
        return _WORD.sub(lambda word: self._by_lower.get(word[0], word[0]), self.lower(text))

    def _sentence(self, pieces: list[str]) -> str:
        """Begin with a capital if the training text does, unless what it begins with stays."""
        text = "".join(pieces)
        first = next((i for i, c in enumerate(text) if c.isalpha()), None)
        if not self.initial or first is None or _is_kept(pieces, first):
            return text
        return text[:first] + self.upper(text[first]) + text[first + 1 :]

    @staticmethod
    def _on_free(pieces: list[str], change: Any) -> str:
        return "".join(p if i % 2 else change(p) for i, p in enumerate(pieces))


def _pieces(text: str, keep: Sequence[str]) -> list[str]:
    """Text, kept part, text, …: what stands at odd positions stays."""
    parts = sorted({part for part in keep if part}, key=len, reverse=True)
    return re.split("(" + "|".join(map(re.escape, parts)) + ")", text) if parts else [text]


def _is_kept(pieces: Sequence[str], position: int) -> bool:
    """Whether a character of the joined pieces stands in one that stays."""
    number = 0
    while position >= len(pieces[number]):
        position -= len(pieces[number])
        number += 1
    return number % 2 == 1


def _usual_forms(words: Counter[str], case: LetterCase) -> list[str]:
    """Words whose most frequent form has a capital, the most frequent first."""
    best: dict[str, str] = {}
    for word, count in words.items():
        other = best.setdefault(case.lower(word), word)
        if (count, word) > (words[other], other):
            best[case.lower(word)] = word
    forms = [word for lower, word in best.items() if word != lower and words[word] > 1]
    return sorted(forms, key=lambda word: (-words[word], word))[:_MOST_FORMS]


def _cases(text: str) -> tuple[bool, bool]:
    """Whether a text has capitals, and whether it has small letters."""
    return text.lower() != text, text.upper() != text


def _count_letters(text: str) -> int:
    """The number of letters that have a case."""
    return sum(c.isupper() or c.islower() for c in text)
