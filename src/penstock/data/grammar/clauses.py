"""Clauses drawn at random: a subject, a verb group, its objects, a place, a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple, TypeVar

from penstock.data.grammar.french import IL, ILS, JE, NOUS, elide, with_a
from penstock.data.grammar.lexicon import TIMES, Place, places
from penstock.data.grammar.phrases import (
    DATIVE,
    DIRECT,
    DISJUNCTIVE,
    SUBJECT_PRONOUNS,
    Clitic,
    Phrase,
    noun_phrases,
    people,
)
from penstock.data.grammar.verb_groups import NEGATIVE, Middle, Tense, VerbGroup, verb_group
from penstock.data.grammar.verbs import INTRANSITIVE, STATIVE, TRANSITIVE, Frame

T = TypeVar("T")
# a source of uniform numbers in [0, 1): `random.Random(seed).random`
Draw = Callable[[], float]

Text = tuple[str, str]

_PLACES = places()
_LITTLE_WORDS = "the this these a an some any my your his her our their and"
_DETERMINERS = frozenset(_LITTLE_WORDS.split(" "))


class Clause(NamedTuple):
    """A clause before it becomes a statement or a question. `tail` begins with a space or is ''."""

    subject: Phrase
    group: VerbGroup
    en_tail: str
    fr_tail: str

    def statement(self) -> Text:
        """`she eats an apple`, `elle mange une pomme`."""
        en = f"{self.subject.en} {self.group.statement}{self.en_tail}"
        return en, join_subject(self.subject.fr, self.group.fr) + self.fr_tail

    def question(self) -> Text:
        """`does she eat an apple`, `est-ce qu'elle mange une pomme`."""
        en = f"{self.group.auxiliary} {self.subject.en} {self.group.rest}{self.en_tail}"
        fr = join_subject(self.subject.fr, self.group.fr) + self.fr_tail
        return en, elide("est-ce que", fr)


def pick(draw: Draw, options: Sequence[T]) -> T:
    """One of the options, all equally likely."""
    return options[int(draw() * len(options))]


def join_subject(subject: str, verb: str) -> str:
    """Subject and verb: `je` elides, nothing else does."""
    return elide("je", verb) if subject == "je" else f"{subject} {verb}"


def pick_phrase(draw: Draw, groups: Sequence[Sequence[Phrase]]) -> Phrase:
    """A phrase of one of the groups."""
    group = groups[int(draw() * len(groups))]
    return group[int(draw() * len(group))]


def pick_subject(draw: Draw) -> Phrase:
    """A pronoun or a person, about evenly."""
    if draw() < 0.55:
        return SUBJECT_PRONOUNS[int(draw() * 6)]
    return pick_phrase(draw, people())


def overlaps(person: int, other: int) -> bool:
    """Whether two pronouns share a person, which rules one out as the other's object."""
    first = (JE, NOUS)
    return (person == other != IL and person != ILS) or (person in first and other in first)


_OPEN_TENSES = (
    *[Tense.PRESENT] * 5,
    *[Tense.PAST] * 5,
    *[Tense.PROGRESSIVE] * 2,
    *[Tense.NEAR] * 3,
    *[Tense.FUTURE] * 3,
    *[Tense.IMPERFECT] * 2,
    Tense.CAN,
    Tense.MUST,
    Tense.WANT,
    Tense.WOULD_LIKE,
)
_TENSES_OF = {
    "open": _OPEN_TENSES,
    "state": (Tense.PRESENT, Tense.PRESENT, Tense.PRESENT, Tense.PAST),
    "mishap": (Tense.PAST, Tense.PAST, Tense.PAST, Tense.NEAR, Tense.FUTURE),
    "sudden": (Tense.PAST,),
    "grasp": (Tense.PRESENT, Tense.PRESENT, Tense.PAST, Tense.FUTURE, Tense.CAN),
    "glimpse": (Tense.PRESENT, Tense.PAST, Tense.PAST, Tense.NEAR, Tense.FUTURE, Tense.WANT),
    "dwelling": (Tense.PRESENT, Tense.PAST, Tense.NEAR, Tense.FUTURE, Tense.WANT, Tense.WOULD_LIKE),
}
# an adverb only where it is natural
_ADVERBS = {
    Tense.PRESENT: (Middle.NEVER, Middle.NO_LONGER, Middle.OFTEN, Middle.ALWAYS),
    Tense.PAST: (Middle.NEVER, Middle.ALREADY),
    Tense.FUTURE: (Middle.NEVER,),
}
_TIMES_OF: dict[Tense, tuple[Text, ...]] = {
    Tense.PRESENT: TIMES["habit"],
    Tense.PROGRESSIVE: TIMES["now"],
    Tense.PAST: TIMES["past"],
    Tense.IMPERFECT: TIMES["was"],
    Tense.FUTURE: TIMES["future"],
    Tense.NEAR: TIMES["future"],
    Tense.CAN: TIMES["future"],
    Tense.MUST: TIMES["future"],
    Tense.WANT: TIMES["future"],
    Tense.WOULD_LIKE: TIMES["future"],
}


# what did not happen did not happen `two days ago`
_TIMES_NOT = {
    tense: tuple(time for time in times if not time[0].startswith("in ") and "ago" not in time[0])
    for tense, times in _TIMES_OF.items()
}


def pick_time(draw: Draw, frame: Frame, tense: Tense, middle: Middle) -> Text:
    """A time that suits the verb and its tense."""
    if not frame.objects and not frame.places:
        return pick(draw, TIMES["clock"])
    return pick(draw, (_TIMES_OF if middle is Middle.PLAIN else _TIMES_NOT)[tense])


def takes_time(frame: Frame, tense: Tense, middle: Middle) -> bool:
    """Whether a time may be added: not to a state, nor a habit to what is not one."""
    if frame.aspect in ("state", "dwelling", "grasp") or middle > Middle.NOT:
        return False
    return tense is not Tense.PRESENT or (middle is Middle.PLAIN and frame.aspect == "open")


@cache
def place_options(kinds: tuple[str, ...], motion: str) -> tuple[Text, ...]:
    """The places of these kinds or names, as `at`, `to` or `from`."""
    found: list[Text] = []
    for kind in kinds:
        for place in _PLACES[kind] if kind in _PLACES else [_place_named(kind)]:
            en = {"at": place.en_at, "to": place.en_to, "from": place.en_from}[motion]
            found.append((en, place.fr_from if motion == "from" else place.fr_at))
    return tuple(found)


def _place_named(word: str) -> Place:
    if word == "street":
        return Place("in the street", "", "", "dans la rue", "")
    return next(p for kind in _PLACES.values() for p in kind if p.en_at.endswith(f" {word}"))


def same_people(one: Phrase, other: Phrase) -> bool:
    """Whether two phrases share a noun or a name, so that one should not act on the other."""
    shared = set(one.en.split()).intersection(other.en.split())
    return bool(shared - _DETERMINERS)


def _company(draw: Draw, subject: Phrase) -> Text:
    if draw() < 0.5:
        en, fr, person = pick(draw, DISJUNCTIVE)
        if not overlaps(subject.person, person):
            return f" with {en}", f" avec {fr}"
    other = pick_phrase(draw, people())
    if same_people(subject, other):
        return "", ""
    return f" with {other.en}", f" avec {other.fr}"


def _clitic(draw: Draw, frame: Frame, subject: Phrase) -> Clitic | None:
    clitic = pick(draw, DATIVE if frame.dative or frame.recipient else DIRECT)
    return None if overlaps(subject.person, clitic.person) else clitic


def _recipient(draw: Draw, subject: Phrase) -> Text:
    person = pick_phrase(draw, people())
    if same_people(subject, person):
        return "", ""
    # à is repeated: à Anna et à Paul
    return f" to {person.en}", f" {with_a(person.fr).replace(' et ', ' et à ')}"


def pick_middle(draw: Draw, frame: Frame, tense: Tense) -> Middle:
    """Mostly nothing, sometimes a negation, now and then an adverb."""
    chance = draw()
    if chance < 0.72:
        return Middle.PLAIN
    if chance < 0.88 or tense not in _ADVERBS or frame.aspect not in ("open", "state"):
        return Middle.NOT
    if frame.aspect == "state":
        return Middle.NO_LONGER if tense is Tense.PRESENT else Middle.NOT
    return pick(draw, _ADVERBS[tense])


def pick_tense(draw: Draw, frame: Frame) -> Tense:
    """A tense the verb allows; `read` has no visible simple past, so it is never used in it."""
    tense = pick(draw, _TENSES_OF[frame.aspect])
    invisible = tense is Tense.PAST and frame.verb.en.base == frame.verb.en.past
    return Tense.IMPERFECT if invisible else tense


def pick_frame(draw: Draw) -> Frame:
    """A verb with what it takes: half transitive, the rest shared."""
    chance = draw()
    if chance < 0.55:
        return pick(draw, TRANSITIVE)
    return pick(draw, INTRANSITIVE) if chance < 0.85 else pick(draw, STATIVE)


def pick_object(draw: Draw, frame: Frame, subject: Phrase) -> Phrase:
    """An object for the verb that is not its subject."""
    groups = noun_phrases(frame.objects, frame.articles)
    found = pick_phrase(draw, groups)
    while same_people(subject, found):
        found = pick_phrase(draw, groups)
    return found


def clause(
    draw: Draw,
    *,
    frame: Frame | None = None,
    subject: Phrase | None = None,
    tense: Tense | None = None,
    middle: Middle | None = None,
    adjuncts: bool = True,
) -> Clause:
    """A clause; missing parts are drawn at random. Adjuncts are places, company and times."""
    frame = frame or pick_frame(draw)
    subject = subject or pick_subject(draw)
    tense = pick_tense(draw, frame) if tense is None else tense
    middle = pick_middle(draw, frame, tense) if middle is None else middle
    clitic = None
    if (frame.pronouns and draw() < 0.4) or (frame.recipient and draw() < 0.5):
        clitic = _clitic(draw, frame, subject)
    en_tail = fr_tail = ""
    if frame.objects and (clitic is None or frame.recipient):
        en_tail, fr_tail = _object(draw, frame, subject, middle)
        if frame.recipient and clitic is None:
            en, fr = _recipient(draw, subject)
            en_tail, fr_tail = en_tail + en, fr_tail + fr
    en, fr = _adjunct(draw, frame, subject, adjuncts)
    en_tail, fr_tail = en_tail + en, fr_tail + fr
    if adjuncts and takes_time(frame, tense, middle) and draw() < 0.35:
        en, fr = pick_time(draw, frame, tense, middle)
        en_tail, fr_tail = f"{en_tail} {en}", f"{fr_tail} {fr}"
    person, agreement = subject.person, subject.agreement
    group = verb_group(frame.verb, tense, person, agreement, middle, clitic)
    return Clause(subject, group, en_tail, fr_tail)


def _object(draw: Draw, frame: Frame, subject: Phrase, middle: Middle) -> Text:
    found = pick_object(draw, frame, subject)
    if middle in NEGATIVE and frame.articles != "generic" and not frame.dative:
        return f" {found.en_negated}", f" {found.fr_negated}"
    return f" {found.en}", f" {with_a(found.fr) if frame.dative else found.fr}"


def _adjunct(draw: Draw, frame: Frame, subject: Phrase, wanted: bool) -> Text:
    if frame.needs_place or (wanted and frame.places and draw() < 0.3):
        en, fr = pick(draw, place_options(frame.places, frame.motion))
        return f" {en}", f" {fr}"
    if wanted and frame.company and draw() < 0.35:
        return _company(draw, subject)
    return "", ""
