"""English morphology: plurals, articles and the forms of a verb."""

from __future__ import annotations

from typing import NamedTuple

_PLURALS = {
    "man": "men",
    "woman": "women",
    "child": "children",
    "mouse": "mice",
    "knife": "knives",
    "scarf": "scarves",
    "tomato": "tomatoes",
}
_DOUBLED = frozenset(["get", "run", "forget"])
_BE = ("am", "are", "is", "are", "are", "are")
_WAS = ("was", "were", "was", "were", "were", "were")


class EnglishVerb(NamedTuple):
    """The forms of one verb; a particle (`look for`) is part of each."""

    base: str
    third: str
    past: str
    ing: str


def pluralize(noun: str) -> str:
    """The plural of a noun."""
    if noun in _PLURALS:
        return _PLURALS[noun]
    return _add_s(noun)


def _add_s(word: str) -> str:
    if word.endswith(("s", "x", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeou":
        return word[:-1] + "ies"
    return word + "s"


def with_article(phrase: str) -> str:
    """`a` or `an` before a phrase; the lexicon has no silent h and no `university`."""
    return f"{'an' if phrase[0] in 'aeiouAEIOU' else 'a'} {phrase}"


def inflect(base: str, past: str = "") -> EnglishVerb:
    """All forms of a verb; a regular past may be left out. Only the first word changes."""
    head, _, particle = base.partition(" ")
    tail = f" {particle}" if particle else ""
    third = {"go": "goes", "have": "has"}.get(head) or _add_s(head)
    if not past:
        past = head + "d" if head.endswith("e") else head + "ed"
        if head.endswith("y") and head[-2] not in "aeo":
            past = head[:-1] + "ied"
    if head in _DOUBLED:
        ing = head + head[-1] + "ing"
    elif head.endswith("e") and not head.endswith("ee"):
        ing = head[:-1] + "ing"
    else:
        ing = head + "ing"
    return EnglishVerb(base, third + tail, past + tail, ing + tail)


def be(person: int) -> str:
    """The present of `be` for a French person index (`you` is vous, `we` is nous)."""
    return _BE[person]


def was(person: int) -> str:
    """The past of `be` for a French person index."""
    return _WAS[person]
