"""Clauses joined together by that, if, because, and, who; the closing mark is set later."""

from __future__ import annotations

from penstock.data.grammar.clauses import (
    Draw,
    Text,
    clause,
    join_subject,
    pick,
    pick_phrase,
    pick_subject,
    same_people,
)
from penstock.data.grammar.descriptions import (
    quality,
    starting,
    state,
    state_of,
)
from penstock.data.grammar.french import MS, elide
from penstock.data.grammar.phrases import IT, Phrase, noun_phrases
from penstock.data.grammar.verb_groups import Middle, Tense, agree, verb_group
from penstock.data.grammar.verbs import (
    FRAME,
    HOPE,
    KNOW_THAT,
    OPEN,
    SAY,
    THINK,
    Verb,
)


def that_clause(draw: Draw) -> Text:
    """`Paul says that she lives in Rome`, `Paul dit qu'elle habite à Rome`."""
    subject = pick_subject(draw)
    verb = pick(draw, (THINK, SAY, KNOW_THAT, HOPE))
    group = verb_group(verb, Tense.PRESENT, subject.person, subject.agreement)
    if verb is HOPE:
        frame = pick(draw, OPEN)
        other = _someone_else(draw, subject)
        said = clause(
            draw,
            frame=frame,
            subject=other,
            tense=Tense.FUTURE,
            middle=Middle.PLAIN,
            adjuncts=False,
        )
    elif draw() < 0.3:
        text = state(draw, past=False)
        return _joined(subject, group.statement, group.fr, "that", "que", text)
    else:
        said = clause(draw, subject=_someone_else(draw, subject), adjuncts=False)
    return _joined(subject, group.statement, group.fr, "that", "que", said.statement())


def _someone_else(draw: Draw, subject: Phrase) -> Phrase:
    """Nobody says something of himself by name: Paul does not think that Paul is late."""
    other = pick_subject(draw)
    while same_people(subject, other):
        other = pick_subject(draw)
    return other


def _joined(
    subject: Phrase, en_verb: str, fr_verb: str, en_link: str, fr_link: str, text: Text
) -> Text:
    en, fr = text
    return (
        f"{subject.en} {en_verb} {en_link} {en}",
        f"{join_subject(subject.fr, fr_verb)} {elide(fr_link, fr)}",
    )


def whether(draw: Draw) -> Text:
    """`I do not know if he is tired`, `je ne sais pas s'il est fatigué`."""
    subject = pick_subject(draw)
    group = verb_group(KNOW_THAT, Tense.PRESENT, subject.person, MS, Middle.NOT)
    link = pick(draw, (("if", "si"), ("if", "si"), ("why", "pourquoi")))
    other = _someone_else(draw, subject)
    said = clause(draw, subject=other, middle=Middle.PLAIN, adjuncts=False)
    return _joined(subject, group.statement, group.fr, *link, said.statement())


_STAYING = tuple(FRAME[base] for base in ("stay", "sleep", "rest", "go to bed", "come back"))
_OUTINGS = tuple(FRAME[base] for base in ("go", "play", "dance", "walk", "run", "work", "travel"))


def because(draw: Draw) -> Text:
    """`she stayed at the hotel because she was tired`: the pronoun takes the subject up."""
    subject = pick_subject(draw)
    middle = Middle.PLAIN if draw() < 0.4 else Middle.NOT
    past = draw() < 0.4
    tense = Tense.PAST if past else pick(draw, (Tense.PROGRESSIVE, Tense.NEAR))
    frame = pick(draw, _STAYING if middle is Middle.PLAIN else _OUTINGS)
    said = clause(draw, frame=frame, subject=subject, tense=tense, middle=middle, adjuncts=False)
    en, fr = said.statement()
    why_en, why_fr = state_of(draw, _taken_up(subject), past=past, tired=True)
    return f"{en} because {why_en}", f"{fr} {elide('parce que', why_fr)}"


def _taken_up(subject: Phrase) -> Phrase:
    en, fr = subject.pronoun
    return subject._replace(en=en, fr=fr)


_WEATHER = (
    ("it rains", "s'il pleut"),
    ("it snows", "s'il neige"),
    ("it is cold", "s'il fait froid"),
    ("it is hot", "s'il fait chaud"),
    ("the weather is nice", "s'il fait beau"),
)
_WHEN = (("", ""), (" tomorrow", " demain"), (" on Sunday", " dimanche"), (" tonight", " ce soir"))


def if_weather(draw: Draw) -> Text:
    """`if it rains, we will stay at the hotel`: si with the present, then the future."""
    en_if, fr_if = pick(draw, _WEATHER)
    en_when, fr_when = pick(draw, _WHEN)
    middle = Middle.PLAIN if draw() < 0.7 else Middle.NOT
    frame = pick(draw, (*_OUTINGS, FRAME["stay"]))
    said = clause(draw, frame=frame, tense=Tense.FUTURE, middle=middle, adjuncts=False)
    en, fr = said.statement()
    return f"if {en_if}{en_when}, {en}", f"{fr_if}{fr_when}, {fr}"


# what one does to a thing and then to `it`
_SEQUENCES = (
    ("buy", ("clothes", "thing", "text", "gift"), ("lose", "forget", "sell")),
    ("buy", ("food",), ("eat", "wash")),
    ("find", ("clothes",), ("lose", "wash", "sell")),
    ("write", ("letter", "poem", "story"), ("send", "lose", "forget", "read")),
    ("choose", ("clothes", "vehicle", "thing"), ("buy",)),
    ("prepare", ("cake", "sandwich", "salad"), ("eat",)),
)


def it(draw: Draw) -> Text:
    """`Paul bought a dress and he lost it`, `Paul a acheté une robe et il l'a perdue`."""
    first, objects, seconds = pick(draw, _SEQUENCES)
    second = FRAME[pick(draw, seconds)]
    subject = pick_subject(draw)
    thing = pick_phrase(draw, noun_phrases(objects, "count"))
    return _it_text(subject, FRAME[first].verb, second.verb, thing)


def _it_text(subject: Phrase, first: Verb, second: Verb, thing: Phrase) -> Text:
    invisible = second.en.base == second.en.past
    tense = Tense.NEAR if invisible else Tense.PAST
    person, agreement = subject.person, subject.agreement
    one = verb_group(first, Tense.PAST, person, agreement)
    two = verb_group(second, tense, person, agreement, Middle.PLAIN, IT[thing.agreement])
    en_he, fr_he = subject.pronoun
    en = f"{subject.en} {one.statement} {thing.en} and {en_he} {two.statement}"
    fr = f"{join_subject(subject.fr, one.fr)} {thing.fr} et {join_subject(fr_he, two.fr)}"
    return en, fr


_MEETING = tuple(FRAME[base] for base in ("see", "meet", "know", "help", "look for"))
_DOING = tuple(FRAME[base] for base in ("live", "work", "play", "dance", "sleep", "travel"))


def who_clause(draw: Draw) -> Text:
    """`she knows a man who lives in Rome`, `elle connaît un homme qui habite à Rome`."""
    main = pick(draw, _MEETING)
    person = pick_phrase(draw, noun_phrases(("role", "worker", "human"), "count"))
    who = person._replace(en="who", fr="qui", en_negated="who", fr_negated="qui")
    said = clause(
        draw,
        frame=pick(draw, _DOING),
        subject=who,
        tense=Tense.PRESENT,
        middle=Middle.PLAIN,
        adjuncts=False,
    )
    subject = _someone_else(draw, person)
    tense = Tense.PRESENT if draw() < 0.5 else Tense.PAST
    group = verb_group(main.verb, tense, subject.person, subject.agreement)
    en, fr = said.statement()
    return (
        f"{subject.en} {group.statement} {person.en} {en}",
        f"{join_subject(subject.fr, group.fr)} {person.fr} {fr}",
    )


# how one came by a thing, or parted with it
_HANDLING = {
    "clothes": ("buy", "choose", "lose", "sell", "wash"),
    "thing": ("buy", "choose", "lose", "break"),
    "vehicle": ("buy", "choose", "sell", "wash"),
    "gift": ("buy", "send", "bring"),
    "food": ("eat", "buy", "bring"),
}


def that_relative(draw: Draw) -> Text:
    """`the coats that Marie bought are red`: the participle agrees with what precedes it."""
    kind = pick(draw, tuple(_HANDLING))
    thing = starting(draw, (kind,), "the")
    subject = pick_subject(draw)
    verb = FRAME[pick(draw, _HANDLING[kind])].verb
    group = verb_group(verb, Tense.PAST, subject.person, subject.agreement)
    fr_verb = agree(group.fr, verb, thing.agreement)
    chosen = thing._replace(
        en=f"{thing.en} that {subject.en} {group.statement}",
        fr=f"{thing.fr} {elide('que', join_subject(subject.fr, fr_verb))}",
    )
    return quality(draw, chosen, kind, past=kind == "food")
