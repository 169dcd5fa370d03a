"""The Unicode form that a model reads and writes, undone where it gives text back.

A model of characters sees the parts of a composed letter when the text is decomposed (NFD): a
Hangul syllable becomes its letters, `é` an `e` with an accent. Unicode Standard Annex 15,
https://www.unicode.org/reports/tr15/.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Self, cast, final, get_args

from penstock.config.json_types import are_texts, is_array, is_object

UnicodeFormName = Literal["none", "NFC", "NFD", "NFKC"]


@final
@dataclass(frozen=True, slots=True)
class UnicodeForm:
    """A form, and how the training text is written.

    Attributes:
        model: the form of the text that the model reads or writes. `NFKC` also replaces ligatures,
            full-width letters and the like, which nothing brings back.
        text: the form of text given back: `NFC`, or `NFD` if the training text is decomposed.
        excluded: what `NFC` makes of characters that composition excludes, such as Devanagari
            letters with a nukta, and how the training text writes it.
    """

    model: UnicodeFormName = "none"
    text: Literal["NFC", "NFD"] = "NFC"
    excluded: tuple[tuple[str, str], ...] = ()

    @classmethod
    def learn(cls, model: UnicodeFormName, texts: Iterable[str]) -> Self:
        """Find out how training texts are written, so that the form can be undone."""
        if model in ("none", "NFKC"):
            return cls(model)
        counts: Counter[str] = Counter()
        for text in texts:
            if not text.isascii():
                counts.update(text)
                counts.update(a + b for a, b in pairwise(text) if _may_join(b))
        forms = {key: unicodedata.normalize("NFC", key) for key in counts}
        excluded = tuple(
            sorted(
                (form, key)
                for key, form in forms.items()
                if len(key) == 1 and form != key and counts[key] > counts[form[:2]]
            )
        )
        joined = sum(
            counts[key]
            for key, form in forms.items()
            if form == key and not unicodedata.is_normalized("NFD", key) and len(key) == 1
        )
        apart = sum(counts[key] for key, form in forms.items() if len(form) < len(key))
        return cls(model, "NFD" if apart > joined else "NFC", excluded)

    def apply(self, text: str) -> str:
        """Convert a text to the model's form."""
        if self.model == "none" or text.isascii():
            return text
        return unicodedata.normalize(self.model, text)

    def undo(self, text: str) -> str:
        """Convert the model's text to the form of the training text; `NFKC` stays."""
        if self.model in ("none", "NFKC") or text.isascii():
            return text
        text = unicodedata.normalize(self.text, text)
        if self.text == "NFC":
            for sequence, character in self.excluded:
                text = text.replace(sequence, character)
        return text

    def to_plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"model": self.model, "text": self.text, "excluded": [*map(list, self.excluded)]}

    @classmethod
    def from_plain(cls, content: Any) -> Self:
        """Read and check the result of `to_plain`.

        Raises:
            ValueError: it is damaged.
        """
        if is_object(content):
            model, text = content.get("model"), content.get("text")
            excluded = content.get("excluded")
            pairs = list(filter(is_array, excluded)) if is_array(excluded) else None
            if (
                model in get_args(UnicodeFormName)
                and text in ("NFC", "NFD")
                and pairs is not None
                and all(len(pair) == 2 and are_texts(pair) for pair in pairs)
            ):
                name = cast(UnicodeFormName, model)
                return cls(name, text, tuple((str(a), str(b)) for a, b in pairs))
        raise ValueError("damaged tokenizer: its Unicode form is not one")


PLAIN = UnicodeForm()


def _may_join(character: str) -> bool:
    """Whether a character may be composed with the one before it."""
    return unicodedata.category(character)[0] == "M" or "\u1160" <= character <= "\u11ff"
