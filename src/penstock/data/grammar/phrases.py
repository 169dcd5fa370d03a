"""Noun phrases in both languages at once: determiner, adjectives, noun; and the pronouns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from penstock.data.grammar import english
from penstock.data.grammar.french import (
    FP,
    FS,
    IL,
    ILS,
    JE,
    MP,
    MS,
    NOUS,
    VOUS,
    elide,
    opens_with_vowel,
    possessive,
)
from penstock.data.grammar.lexicon import (
    ADJECTIVES,
    ATTRIBUTES,
    COLOURS,
    NAMES_F,
    NAMES_M,
    NOUN,
    NOUNS,
    NUMBERS,
    Adjective,
    Noun,
    rows,
)


class Phrase(NamedTuple):
    """A noun phrase or pronoun: both texts, person and agreement, and both texts under negation.

    `pronoun` is the subject pronoun that takes the phrase up again.
    """

    en: str
    fr: str
    person: int
    agreement: int
    en_negated: str
    fr_negated: str
    pronoun: tuple[str, str]


class Clitic(NamedTuple):
    """An object pronoun; `agreement` is what a participle after it agrees with, or None."""

    en: str
    fr: str
    person: int
    agreement: int | None


_MASS = ("dish", "drink")
_POSSESSIVES = {
    "my": "m",
    "your": "votre",
    "his": "s",
    "her": "s",
    "our": "notre",
    "their": "leur",
}
_HE, _SHE, _THEY, _THEY_F = ("he", "il"), ("she", "elle"), ("they", "ils"), ("they", "elles")
_TAKEN_UP = {MS: _HE, FS: _SHE, MP: _THEY, FP: _THEY_F}

SUBJECT_PRONOUNS = tuple(
    Phrase(en, fr, person, agreement, en, fr, (en, fr))
    for en, fr, person, agreement in (
        ("I", "je", JE, MS),
        ("you", "vous", VOUS, MS),
        ("he", "il", IL, MS),
        ("she", "elle", IL, FS),
        ("we", "nous", NOUS, MP),
        ("they", "ils", ILS, MP),
    )
)
DIRECT = (
    Clitic("me", "me", JE, MS),
    Clitic("you", "vous", VOUS, MS),
    Clitic("him", "le", IL, MS),
    Clitic("her", "la", IL, FS),
    Clitic("us", "nous", NOUS, MP),
    Clitic("them", "les", ILS, MP),
)
DATIVE = (
    Clitic("me", "me", JE, None),
    Clitic("you", "vous", VOUS, None),
    Clitic("him", "lui", IL, None),
    Clitic("her", "lui", IL, None),
    Clitic("us", "nous", NOUS, None),
    Clitic("them", "leur", ILS, None),
)
# after a preposition: with me, avec moi
DISJUNCTIVE = (
    ("me", "moi", JE),
    ("you", "vous", VOUS),
    ("him", "lui", IL),
    ("her", "elle", IL),
    ("us", "nous", NOUS),
    ("them", "eux", ILS),
)
IT = {
    MS: Clitic("it", "le", IL, MS),
    FS: Clitic("it", "la", IL, FS),
    MP: Clitic("them", "les", ILS, MP),
    FP: Clitic("them", "les", ILS, FP),
}


def name(en: str, *, feminine: bool) -> Phrase:
    """A person's name, the same in both languages."""
    agreement = FS if feminine else MS
    return Phrase(en, en, IL, agreement, en, en, _TAKEN_UP[agreement])


class _Core(NamedTuple):
    """A noun with its adjectives, before the determiner."""

    en: str
    fr: str
    noun: Noun
    agreement: int
    adjective_first: bool


def _core(noun: Noun, plural: bool, adjectives: tuple[Adjective, ...]) -> _Core:
    agreement = 2 * plural + noun.feminine
    fr = noun.fr_plural if plural else noun.fr
    en = noun.en_plural if plural else noun.en
    before = [a for a in adjectives if a.precedes]
    for adjective in adjectives:
        if not adjective.precedes:
            fr = f"{fr} {adjective.forms[agreement]}"
    for adjective in before:
        liaison = agreement == MS and opens_with_vowel(fr)
        fr = f"{adjective.before_vowel if liaison else adjective.forms[agreement]} {fr}"
    en = " ".join([*(a.en for a in adjectives), en])
    return _Core(en, fr, noun, agreement, bool(before))


def _cores(noun: Noun, plural: bool) -> Iterator[_Core]:
    yield _core(noun, plural, ())
    known = [
        ADJECTIVES[word]
        for word in (ATTRIBUTES.get(noun.en) or ATTRIBUTES.get(noun.kind, "")).split()
    ]
    for adjective in known:
        yield _core(noun, plural, (adjective,))
    for first in known:
        for second in known:
            if first.precedes and second.en in COLOURS:
                yield _core(noun, plural, (first, second))


def _definite(core: _Core) -> str:
    return "les " + core.fr if core.agreement >= MP else _singular_the(core)


def _singular_the(core: _Core) -> str:
    return elide("la" if core.agreement == FS else "le", core.fr)


def _demonstrative(core: _Core) -> str:
    if core.agreement >= MP:
        return "ces " + core.fr
    if core.agreement == FS:
        return "cette " + core.fr
    return ("cet " if opens_with_vowel(core.fr) else "ce ") + core.fr


def _possessed(stem: str) -> Callable[[_Core], str]:
    return lambda core: possessive(
        stem,
        feminine=core.agreement in (FS, FP),
        plural=core.agreement >= MP,
        following=core.fr,
    )


def _partitive(core: _Core) -> str:
    """`des pommes`, but `de petites pommes`; `du pain`, `de la soupe`, `de l'eau`."""
    if core.agreement >= MP:
        return _de(core) if core.adjective_first else "des " + core.fr
    the = _singular_the(core)
    return "du" + the[2:] if the.startswith("le ") else "de " + the


def _de(core: _Core) -> str:
    return elide("de", core.fr)


def _phrase(core: _Core, en: str, fr: str, negated: tuple[str, str] | None = None) -> Phrase:
    en_negated, fr_negated = negated or (en, fr)
    person = ILS if core.agreement >= MP else IL
    pronoun = _TAKEN_UP[core.agreement]
    return Phrase(en, fr, person, core.agreement, en_negated, fr_negated, pronoun)


def _definites(core: _Core) -> Iterator[Phrase]:
    plural = core.agreement >= MP
    if core.noun.kind not in ("kin", "parent"):
        yield _phrase(core, f"the {core.en}", _definite(core))
        if core.noun.kind not in _MASS:
            this = "these" if plural else "this"
            yield _phrase(core, f"{this} {core.en}", _demonstrative(core))
    if core.noun.kind not in ("human", "worker", "building", "stop", "room", "furniture", "film"):
        for en, stem in _POSSESSIVES.items():
            yield _phrase(core, f"{en} {core.en}", _possessed(stem)(core))


def _indefinites(core: _Core) -> Iterator[Phrase]:
    none = (f"any {core.en}", _de(core))
    if core.noun.kind in _MASS:
        yield _phrase(core, f"some {core.en}", _partitive(core), none)
        yield _phrase(core, core.en, _partitive(core), (core.en, _de(core)))
    elif core.agreement >= MP:
        yield _phrase(core, f"some {core.en}", _partitive(core), none)
        yield from _counted(core)
    elif core.noun.kind != "parent":
        yield _article(core)


def _article(core: _Core) -> Phrase:
    en = english.with_article(core.en)
    article = "une" if core.agreement == FS else "un"
    return _phrase(core, en, f"{article} {core.fr}", (en, _de(core)))


def _counted(core: _Core) -> Iterator[Phrase]:
    for en, fr in rows(NUMBERS):
        none = (f"any {core.en}", _de(core))
        yield _phrase(core, f"{en} {core.en}", f"{fr} {core.fr}", none)


def _generic(core: _Core) -> Iterator[Phrase]:
    if core.noun.kind in _MASS or core.agreement >= MP or core.noun.en == "music":
        yield _phrase(core, core.en, _definite(core))


def _determined(core: _Core, articles: str) -> Iterator[Phrase]:
    """All phrases that `articles` (any, definite, count, possessed, generic) allows."""
    if articles == "generic":
        yield from _generic(core)
    if articles in ("any", "definite", "count"):
        yield from _definites(core)
    if articles in ("any", "possessed"):
        yield from _indefinites(core)
    if articles == "count" and core.noun.kind != "parent":
        if core.agreement < MP:
            if core.noun.kind not in _MASS:
                yield _article(core)
        else:
            yield from _counted(core)


def _numbers_of(noun: Noun) -> tuple[bool, ...]:
    if noun.kind in (*_MASS, "parent", "sound") and noun.en != "song":
        return (False,)
    return (False, True)


@cache
def nouns(words: tuple[str, ...]) -> tuple[Noun, ...]:
    """The nouns named by kind (`animal`) or by themselves (`garden`)."""
    return tuple(n for word in words for n in (NOUNS[word] if word in NOUNS else (NOUN[word],)))


@cache
def noun_phrases(words: tuple[str, ...], articles: str) -> tuple[tuple[Phrase, ...], ...]:
    """Per noun and number: its phrases, the bare ones first half, those with adjectives second.

    Choosing evenly among the inner tuples, then within one, keeps long phrases from crowding out
    the short ones.
    """
    found: list[tuple[Phrase, ...]] = []
    for noun in nouns(tuple(word for word in words if word != "name")):
        for plural in _numbers_of(noun):
            first, *others = _cores(noun, plural)
            plain = tuple(_determined(first, articles))
            dressed = tuple(p for core in others for p in _determined(core, articles))
            found.extend(group for group in (plain, plain, dressed) if group)
    if "name" in words:
        found.extend([tuple(_names())] * max(1, len(found) // 4))
    return tuple(found)


def _names() -> Iterator[Phrase]:
    yield from (name(en, feminine=False) for en in NAMES_M)
    yield from (name(en, feminine=True) for en in NAMES_F)


def _pairs_of_names() -> Iterator[Phrase]:
    people = list(_names())
    for one in people:
        for other in people:
            if one != other:
                agreement = FP if one.agreement == other.agreement == FS else MP
                en, fr = f"{one.en} and {other.en}", f"{one.fr} et {other.fr}"
                yield Phrase(en, fr, ILS, agreement, en, fr, _TAKEN_UP[agreement])


def _named_friends() -> Iterator[Phrase]:
    """`my friend Anna`, `mon amie Anna`: the name tells the gender."""
    for person in _names():
        fr = "amie" if person.agreement == FS else "ami"
        for en_det, stem in _POSSESSIVES.items():
            mine = possessive(stem, feminine=fr == "amie", plural=False, following=fr)
            en = f"{en_det} friend {person.en}"
            yield person._replace(
                en=en,
                fr=f"{mine} {person.fr}",
                en_negated=en,
                fr_negated=f"{mine} {person.fr}",
            )


@cache
def people() -> tuple[tuple[Phrase, ...], ...]:
    """Subjects that are not pronouns, in groups of about equal weight."""
    described = noun_phrases(("role", "worker", "human", "kin", "parent"), "definite")
    return (
        *described,
        *[tuple(_names())] * (len(described) // 2),
        *[tuple(_pairs_of_names())] * (len(described) // 6),
        *[tuple(_named_friends())] * (len(described) // 8),
    )
