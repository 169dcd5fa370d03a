"""Questions, always with `est-ce que`; the closing mark is set later."""

from __future__ import annotations

from penstock.data.grammar.clauses import (
    Draw,
    Text,
    clause,
    join_subject,
    pick,
    pick_frame,
    pick_phrase,
    pick_subject,
    pick_tense,
    place_options,
)
from penstock.data.grammar.french import IL, JE, MS, elide
from penstock.data.grammar.phrases import SUBJECT_PRONOUNS, Phrase, noun_phrases
from penstock.data.grammar.verb_groups import Middle, Tense, agree, verb_group
from penstock.data.grammar.verbs import FRAME, OPEN, TRANSITIVE


def _asked_subject(draw: Draw) -> Phrase:
    """Nobody asks about himself: `I` becomes `you`."""
    subject = pick_subject(draw)
    return SUBJECT_PRONOUNS[1] if subject.person == JE else subject


def question(draw: Draw) -> Text:
    """`does she like him`, `est-ce qu'elle l'aime`."""
    middle = Middle.PLAIN if draw() < 0.9 else Middle.NOT
    frame = pick_frame(draw)
    tense = pick_tense(draw, frame)
    if tense is Tense.MUST:
        tense = Tense.CAN
    subject = _asked_subject(draw)
    return clause(draw, frame=frame, subject=subject, tense=tense, middle=middle).question()


_WHY = (("why", "pourquoi"), ("when", "quand"))
_ASKED_TENSES = (
    Tense.PAST,
    Tense.PAST,
    Tense.NEAR,
    Tense.FUTURE,
    Tense.WANT,
    Tense.CAN,
)


def wh_question(draw: Draw) -> Text:
    """Why and when."""
    en_word, fr_word = pick(draw, _WHY)
    tense = pick(draw, _ASKED_TENSES)
    middle = Middle.NOT if en_word == "why" and draw() < 0.4 else Middle.PLAIN
    subject = _asked_subject(draw)
    frame = pick(draw, OPEN)
    said = clause(draw, frame=frame, subject=subject, tense=tense, middle=middle, adjuncts=False)
    en, fr = said.question()
    return f"{en_word} {en}", f"{fr_word} {fr}"


_WHERE = ("live", "work", "sleep", "play", "dance", "go", "eat", "travel")


def where_question(draw: Draw) -> Text:
    """`where does Emma live`, `où est-ce qu'Emma habite`."""
    frame = FRAME[pick(draw, _WHERE)]
    tense = pick(draw, (Tense.PRESENT, *_ASKED_TENSES[1:]))
    subject = _asked_subject(draw)
    group = verb_group(frame.verb, tense, subject.person, subject.agreement)
    fr = elide("est-ce que", join_subject(subject.fr, group.fr))
    return f"where {group.auxiliary} {subject.en} {group.rest}", f"où {fr}"


_WHAT = ("eat", "drink", "read", "write", "buy", "sell", "choose", "draw", "watch", "look for")


def what_question(draw: Draw) -> Text:
    """`what is she eating`, `qu'est-ce qu'elle mange`."""
    frame = FRAME[pick(draw, _WHAT)]
    tense = pick(draw, (Tense.PROGRESSIVE, *_ASKED_TENSES))
    subject = _asked_subject(draw)
    group = verb_group(frame.verb, tense, subject.person, subject.agreement)
    en = f"what {group.auxiliary} {subject.en} {group.rest}"
    fr = elide("qu'est-ce que", join_subject(subject.fr, group.fr))
    if frame.places and draw() < 0.4:
        place_en, place_fr = pick(draw, place_options(frame.places, frame.motion))
        en, fr = f"{en} {place_en}", f"{fr} {place_fr}"
    return en, fr


_WHO = Phrase("who", "qui", IL, MS, "who", "qui", ("he", "il"))


def who_question(draw: Draw) -> Text:
    """`who ate the cake`, `qui a mangé le gâteau`."""
    frame = pick(draw, TRANSITIVE)
    tense = pick_tense(draw, frame)
    said = clause(draw, frame=frame, subject=_WHO, tense=tense, middle=Middle.PLAIN)
    return said.statement()


_COUNTED = ("eat", "buy", "sell", "see", "choose", "write", "draw", "find", "bring")


def how_many(draw: Draw) -> Text:
    """`combien de pommes est-ce que vous avez mangées`: the object precedes the participle."""
    frame = FRAME[pick(draw, _COUNTED)]
    things = noun_phrases(
        tuple(k for k in frame.objects if k not in ("name", "dish", "drink")), "possessed"
    )
    thing = pick_phrase(draw, things)
    while not thing.en.startswith("some "):
        thing = pick_phrase(draw, things)
    tense = pick(draw, (Tense.PAST, Tense.PAST, Tense.NEAR, Tense.FUTURE, Tense.WANT))
    subject = _asked_subject(draw)
    group = verb_group(frame.verb, tense, subject.person, subject.agreement)
    fr_verb = group.fr
    if tense is Tense.PAST:
        fr_verb = agree(fr_verb, frame.verb, thing.agreement)
    fr = elide("est-ce que", join_subject(subject.fr, fr_verb))
    en = f"how many {thing.en[5:]} {group.auxiliary} {subject.en} {group.rest}"
    return en, f"combien {thing.fr_negated} {fr}"
