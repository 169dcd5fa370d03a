"""The verb with its auxiliaries, negation and object pronoun, in both languages at once."""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from typing import NamedTuple

from penstock.data.grammar import english
from penstock.data.grammar.french import IL, MS, conjugate, elide, reflexive_pronoun
from penstock.data.grammar.phrases import Clitic
from penstock.data.grammar.verbs import Verb


class Tense(IntEnum):
    """Tenses by their English form; modals count as tenses."""

    PRESENT = 0  # eats, mange
    PROGRESSIVE = 1  # is eating, mange
    PAST = 2  # ate, a mangé
    IMPERFECT = 3  # was eating, mangeait
    FUTURE = 4  # will eat, mangera
    NEAR = 5  # is going to eat, va manger
    CAN = 6  # can eat, peut manger
    MUST = 7  # must eat, doit manger
    WANT = 8  # wants to eat, veut manger
    WOULD_LIKE = 9  # would like to eat, voudrait manger


class Middle(IntEnum):
    """Words around or after the finite verb."""

    PLAIN = 0
    NOT = 1
    NEVER = 2
    NO_LONGER = 3
    OFTEN = 4
    ALWAYS = 5
    ALREADY = 6


_MIDDLE_EN = ("", "not", "never", "no longer", "often", "always", "already")
_MIDDLE_FR = ("", "pas", "jamais", "plus", "souvent", "toujours", "déjà")
NEGATIVE = frozenset((Middle.NOT, Middle.NEVER, Middle.NO_LONGER))

_AVOIR, _ETRE, _ALLER = conjugate("avoir"), conjugate("être"), conjugate("aller")
_MODALS = {
    Tense.NEAR: _ALLER.present,
    Tense.CAN: conjugate("pouvoir").present,
    Tense.MUST: conjugate("devoir").present,
    Tense.WANT: conjugate("vouloir").present,
    Tense.WOULD_LIKE: (
        *("voudrais", "voudrais", "voudrait"),
        *("voudrions", "voudriez", "voudraient"),
    ),
}


class VerbGroup(NamedTuple):
    """`statement` is the English predicate; `auxiliary` and `rest` make its question."""

    statement: str
    auxiliary: str
    rest: str
    fr: str


@cache
def verb_group(
    verb: Verb,
    tense: Tense,
    person: int,
    agreement: int = MS,
    middle: Middle = Middle.PLAIN,
    clitic: Clitic | None = None,
) -> VerbGroup:
    """The group for a subject of this person and agreement, with an object pronoun or none."""
    auxiliary, rest, inflected = _english_parts(verb, tense, person)
    if middle is Middle.PLAIN:
        statement = inflected or f"{auxiliary} {rest}"
        question_rest = rest
    elif middle is Middle.NOT:
        statement = f"cannot {rest}" if auxiliary == "can" else f"{auxiliary} not {rest}"
        question_rest = f"not {rest}"
    else:
        adverb = _MIDDLE_EN[middle]
        statement = f"{adverb} {inflected}" if inflected else f"{auxiliary} {adverb} {rest}"
        question_rest = f"{adverb} {rest}"
    if clitic is not None:
        statement, question_rest = f"{statement} {clitic.en}", f"{question_rest} {clitic.en}"
    fr = _french_group(verb, tense, person, agreement, middle, clitic)
    return VerbGroup(statement, auxiliary, question_rest, fr)


def _english_parts(verb: Verb, tense: Tense, person: int) -> tuple[str, str, str]:
    """Auxiliary, what follows it, and the inflected form that replaces both in a statement."""
    en = verb.en
    third = person == IL
    if tense is Tense.PRESENT:
        return ("does" if third else "do", en.base, en.third if third else en.base)
    if tense is Tense.PAST:
        return "did", en.base, en.past
    if tense is Tense.WANT:
        want = "wants" if third else "want"
        return "does" if third else "do", f"want to {en.base}", f"{want} to {en.base}"
    auxiliary, rest = {
        Tense.PROGRESSIVE: (english.be(person), en.ing),
        Tense.IMPERFECT: (english.was(person), en.ing),
        Tense.FUTURE: ("will", en.base),
        Tense.NEAR: (english.be(person), f"going to {en.base}"),
        Tense.CAN: ("can", en.base),
        Tense.MUST: ("must", en.base),
        Tense.WOULD_LIKE: ("would", f"like to {en.base}"),
    }[tense]
    return auxiliary, rest, ""


def _french_group(
    verb: Verb, tense: Tense, person: int, agreement: int, middle: Middle, clitic: Clitic | None
) -> str:
    fr = verb.fr
    pronoun = reflexive_pronoun(person) if fr.reflexive else clitic.fr if clitic else ""
    finite, tail = _finite(verb, tense, person, agreement, clitic)
    if tense in _MODALS:
        tail = elide(pronoun, fr.infinitive) if pronoun else fr.infinitive
    elif pronoun:
        finite = elide(pronoun, finite)
    if middle in NEGATIVE:
        finite = elide("ne", finite)
    return " ".join(part for part in (finite, _MIDDLE_FR[middle], tail) if part)


def _finite(
    verb: Verb, tense: Tense, person: int, agreement: int, clitic: Clitic | None
) -> tuple[str, str]:
    """The finite form, and the participle if there is one."""
    fr = verb.fr
    if tense in _MODALS:
        return _MODALS[tense][person], ""
    if tense is Tense.FUTURE:
        return fr.future[person], ""
    if tense is Tense.IMPERFECT or (tense is Tense.PAST and verb.stative):
        return fr.imperfect[person], ""
    if tense is not Tense.PAST:
        return fr.present[person], ""
    if fr.with_etre:
        return _ETRE.present[person], fr.participles[agreement]
    preceding = MS if clitic is None or clitic.agreement is None else clitic.agreement
    return _AVOIR.present[person], fr.participles[preceding]


def agree(fr: str, verb: Verb, agreement: int) -> str:
    """A passé composé with avoir whose participle agrees with a preceding object."""
    participles = verb.fr.participles
    return fr.removesuffix(participles[MS]) + participles[agreement]


def copula(person: int, *, past: bool, negated: bool) -> tuple[str, str]:
    """`is`, `was`, `is not`: est, était, n'est pas."""
    en = english.was(person) if past else english.be(person)
    fr = (_ETRE.imperfect if past else _ETRE.present)[person]
    return (f"{en} not", f"{elide('ne', fr)} pas") if negated else (en, fr)


def have_state(person: int, *, past: bool, negated: bool) -> str:
    """The French of `be` before hungry, thirsty, afraid: avoir faim, soif, peur."""
    fr = (_AVOIR.imperfect if past else _AVOIR.present)[person]
    return f"{elide('ne', fr)} pas" if negated else fr
