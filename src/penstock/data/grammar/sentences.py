"""Whole sentences: statements, questions, requests, descriptions, and clauses joined together."""

from __future__ import annotations

from collections.abc import Callable

from penstock.data.grammar.clauses import (
    Draw,
    Text,
    clause,
    join_subject,
    pick,
    pick_frame,
    pick_object,
    pick_phrase,
    pick_subject,
    pick_tense,
    pick_time,
    place_options,
    takes_time,
)
from penstock.data.grammar.descriptions import (
    comparison,
    exclamation,
    possession,
    state,
    state_of,
    there_is,
)
from penstock.data.grammar.french import IL, JE, MS, VOUS, elide
from penstock.data.grammar.phrases import IT, SUBJECT_PRONOUNS, Phrase, noun_phrases
from penstock.data.grammar.verb_groups import Middle, Tense, verb_group
from penstock.data.grammar.verbs import (
    FRAME,
    HOPE,
    INTRANSITIVE,
    KNOW_THAT,
    SAY,
    THINK,
    TRANSITIVE,
    Frame,
    Verb,
)


def _end(text: Text, mark: str = ".") -> Text:
    """Capital and closing mark; French sets a space before `?` and `!`."""
    en, fr = text
    space = "" if mark == "." else " "
    return f"{en[0].upper()}{en[1:]}{mark}", f"{fr[0].upper()}{fr[1:]}{space}{mark}"


def _statement(draw: Draw) -> Text:
    if draw() < 0.8:
        return _end(clause(draw).statement())
    frame = pick_frame(draw)
    tense = pick_tense(draw, frame)
    said = clause(draw, frame=frame, tense=tense, middle=Middle.PLAIN, adjuncts=False)
    en, fr = said.statement()
    if takes_time(frame, tense, Middle.PLAIN):
        when_en, when_fr = pick_time(draw, frame, tense)
        return _end((f"{when_en}, {en}", f"{when_fr}, {fr}"))
    return _end((en, fr))


def _asked_subject(draw: Draw) -> Phrase:
    """Nobody asks about himself: `I` becomes `you`."""
    subject = pick_subject(draw)
    return SUBJECT_PRONOUNS[1] if subject.person == JE else subject


def _question(draw: Draw) -> Text:
    middle = Middle.PLAIN if draw() < 0.9 else Middle.NOT
    frame = pick_frame(draw)
    tense = pick_tense(draw, frame)
    if tense is Tense.MUST:
        tense = Tense.CAN
    subject = _asked_subject(draw)
    return _end(
        clause(draw, frame=frame, subject=subject, tense=tense, middle=middle).question(), "?"
    )


_WHY = (("why", "pourquoi"), ("when", "quand"))
_OPEN_FRAMES = tuple(f for f in (*TRANSITIVE, *INTRANSITIVE) if f.aspect == "open")
_WHERE_FRAMES = tuple(f for f in _OPEN_FRAMES if f.places and f.motion == "at")
_ASKED_TENSES = (
    Tense.PAST,
    Tense.PAST,
    Tense.NEAR,
    Tense.FUTURE,
    Tense.WANT,
    Tense.CAN,
)


def _wh_question(draw: Draw) -> Text:
    en_word, fr_word = pick(draw, _WHY)
    tense = pick(draw, _ASKED_TENSES)
    middle = Middle.NOT if en_word == "why" and draw() < 0.4 else Middle.PLAIN
    subject = _asked_subject(draw)
    frame = pick(draw, _OPEN_FRAMES)
    said = clause(draw, frame=frame, subject=subject, tense=tense, middle=middle, adjuncts=False)
    en, fr = said.question()
    return _end((f"{en_word} {en}", f"{fr_word} {fr}"), "?")


_WHERE = ("live", "work", "sleep", "play", "dance", "go", "eat", "travel")


def _where_question(draw: Draw) -> Text:
    frame = FRAME[pick(draw, _WHERE)]
    tense = pick(draw, (Tense.PRESENT, *_ASKED_TENSES[1:]))
    subject = _asked_subject(draw)
    group = verb_group(frame.verb, tense, subject.person, subject.agreement)
    fr = elide("est-ce que", join_subject(subject.fr, group.fr))
    return _end((f"where {group.auxiliary} {subject.en} {group.rest}", f"où {fr}"), "?")


_WHAT = ("eat", "drink", "read", "write", "buy", "sell", "choose", "draw", "watch", "look for")


def _what_question(draw: Draw) -> Text:
    frame = FRAME[pick(draw, _WHAT)]
    tense = pick(draw, (Tense.PROGRESSIVE, *_ASKED_TENSES))
    subject = _asked_subject(draw)
    group = verb_group(frame.verb, tense, subject.person, subject.agreement)
    en, fr = f"what {group.auxiliary} {subject.en} {group.rest}", subject.fr
    fr = elide("qu'est-ce que", join_subject(fr, group.fr))
    if frame.places and draw() < 0.4:
        place_en, place_fr = pick(draw, place_options(frame.places, frame.motion))
        en, fr = f"{en} {place_en}", f"{fr} {place_fr}"
    return _end((en, fr), "?")


_WHO_TENSES = (Tense.PAST, Tense.FUTURE, Tense.NEAR, Tense.CAN, Tense.WANT, Tense.PROGRESSIVE)
_WHO = Phrase("who", "qui", IL, MS, "who", "qui", ("he", "il"))


def _who_question(draw: Draw) -> Text:
    frame = pick(draw, TRANSITIVE)
    tense = pick_tense(draw, frame)
    said = clause(draw, frame=frame, subject=_WHO, tense=tense, middle=Middle.PLAIN)
    return _end(said.statement(), "?")


_COUNTED = ("eat", "buy", "sell", "see", "choose", "write", "draw", "find", "bring")


def _how_many(draw: Draw) -> Text:
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
        participles = frame.verb.fr.participles
        fr_verb = fr_verb.removesuffix(participles[MS]) + participles[thing.agreement]
    fr = elide("est-ce que", join_subject(subject.fr, fr_verb))
    en = f"how many {thing.en[5:]} {group.auxiliary} {subject.en} {group.rest}"
    return _end((en, f"combien {thing.fr_negated} {fr}"), "?")


_ORDERS = tuple(
    FRAME[base]
    for base in (
        *("open", "close", "clean", "wash", "eat", "drink", "read", "buy", "sell", "bring"),
        *("give", "send", "show", "choose", "go", "stay", "play"),
    )
)


def _order(draw: Draw) -> Text:
    frame = pick(draw, _ORDERS)
    fr = frame.verb.fr
    negated = draw() < 0.3
    you = SUBJECT_PRONOUNS[1]
    finite = fr.present[VOUS]
    if negated:
        finite = f"{elide('ne', finite)} pas"
    return _polite(draw, _order_text(draw, frame, you, finite, negated), negated)


def _order_text(draw: Draw, frame: Frame, you: Phrase, finite: str, negated: bool) -> Text:
    en = f"do not {frame.verb.en.base}" if negated else frame.verb.en.base
    fr = finite
    if frame.recipient:
        fr = fr if negated else f"{fr}-moi"
        en = en if negated else f"{en} me"
    if frame.objects:
        thing = pick_object(draw, frame, you)
        en = f"{en} {thing.en_negated if negated else thing.en}"
        fr = f"{fr} {thing.fr_negated if negated else thing.fr}"
    if frame.needs_place:
        place_en, place_fr = pick(draw, place_options(frame.places, frame.motion))
        en, fr = f"{en} {place_en}", f"{fr} {place_fr}"
    return en, fr


def _polite(draw: Draw, text: Text, negated: bool) -> Text:
    en, fr = text
    chance = draw()
    if chance < 0.45:
        return _end((f"{en}, please", f"{fr}, s'il vous plaît"))
    if chance < 0.7:
        return _end((f"please {en}", f"{fr}, s'il vous plaît"))
    return _end((en, fr), "!" if chance < 0.85 else ".")


def _that_clause(draw: Draw) -> Text:
    """`Paul says that she lives in Rome`, `Paul dit qu'elle habite à Rome`."""
    subject = pick_subject(draw)
    verb = pick(draw, (THINK, SAY, KNOW_THAT, HOPE))
    group = verb_group(verb, Tense.PRESENT, subject.person, subject.agreement)
    if verb is HOPE:
        frame = pick(draw, _OPEN_FRAMES)
        said = clause(draw, frame=frame, tense=Tense.FUTURE, middle=Middle.PLAIN, adjuncts=False)
    elif draw() < 0.3:
        en, fr = state(draw, past=False)
        return _end(_joined(subject, group.statement, group.fr, "that", "que", (en, fr)))
    else:
        said = clause(draw, adjuncts=False)
    return _end(_joined(subject, group.statement, group.fr, "that", "que", said.statement()))


def _joined(
    subject: Phrase, en_verb: str, fr_verb: str, en_link: str, fr_link: str, text: Text
) -> Text:
    en, fr = text
    return (
        f"{subject.en} {en_verb} {en_link} {en}",
        f"{join_subject(subject.fr, fr_verb)} {elide(fr_link, fr)}",
    )


def _whether(draw: Draw) -> Text:
    """`I do not know if he is tired`, `je ne sais pas s'il est fatigué`."""
    subject = pick_subject(draw)
    group = verb_group(KNOW_THAT, Tense.PRESENT, subject.person, MS, Middle.NOT)
    link = pick(draw, (("if", "si"), ("if", "si"), ("why", "pourquoi")))
    said = clause(draw, middle=Middle.PLAIN, adjuncts=False)
    return _end(_joined(subject, group.statement, group.fr, *link, said.statement()))


_STAYING = tuple(
    FRAME[base]
    for base in ("go", "stay", "work", "play", "dance", "sleep", "rest", "travel", "come back")
)


def _because(draw: Draw) -> Text:
    subject = pick_subject(draw)
    frame = pick(draw, _STAYING)
    middle = Middle.PLAIN if draw() < 0.4 else Middle.NOT
    past = draw() < 0.4
    tense = Tense.PAST if past else pick(draw, (Tense.PROGRESSIVE, Tense.NEAR))
    said = clause(draw, frame=frame, subject=subject, tense=tense, middle=middle, adjuncts=False)
    en, fr = said.statement()
    why_en, why_fr = state_of(draw, _taken_up(subject), past=past, tired=True)
    return _end((f"{en} because {why_en}", f"{fr} {elide('parce que', why_fr)}"))


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
_OUTINGS = tuple(FRAME[b] for b in ("go", "stay", "play", "dance", "walk", "run", "work"))


def _if_weather(draw: Draw) -> Text:
    en_if, fr_if = pick(draw, _WEATHER)
    en_when, fr_when = pick(draw, _WHEN)
    middle = Middle.PLAIN if draw() < 0.7 else Middle.NOT
    frame = pick(draw, _OUTINGS)
    said = clause(draw, frame=frame, tense=Tense.FUTURE, middle=middle, adjuncts=False)
    en, fr = said.statement()
    return _end((f"if {en_if}{en_when}, {en}", f"{fr_if}{fr_when}, {fr}"))


# what one does to a thing and then to `it`
_SEQUENCES = (
    ("buy", ("clothes", "thing", "text", "gift"), ("lose", "forget", "sell")),
    ("buy", ("food",), ("eat", "wash")),
    ("find", ("clothes",), ("lose", "wash", "sell")),
    ("write", ("letter", "poem", "story"), ("send", "lose", "forget", "read")),
    ("choose", ("clothes", "vehicle", "thing"), ("buy",)),
    ("prepare", ("cake", "sandwich", "salad"), ("eat",)),
)


def _it(draw: Draw) -> Text:
    """`Paul bought a dress and he lost it`, `Paul a acheté une robe et il l'a perdue`."""
    first, objects, seconds = pick(draw, _SEQUENCES)
    second = FRAME[pick(draw, seconds)]
    subject = pick_subject(draw)
    thing = pick_phrase(draw, noun_phrases(objects, "count"))
    return _end(_it_text(subject, FRAME[first].verb, second.verb, thing))


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


_PATTERNS: tuple[tuple[int, Callable[[Draw], Text]], ...] = (
    (42, _statement),
    (10, _question),
    (4, _wh_question),
    (2, _where_question),
    (2, _what_question),
    (2, _who_question),
    (2, _how_many),
    (5, _order),
    (5, _that_clause),
    (2, _whether),
    (3, _because),
    (2, _if_weather),
    (4, _it),
    (6, lambda draw: _end(state(draw, past=draw() < 0.3))),
    (4, lambda draw: _end(comparison(draw))),
    (3, lambda draw: _end(there_is(draw))),
    (2, lambda draw: _end(possession(draw))),
    (2, lambda draw: _end(exclamation(draw), "!")),
)
_WEIGHTED = tuple(pattern for weight, pattern in _PATTERNS for _ in range(weight))


def sentence(draw: Draw) -> Text:
    """One sentence in English and French."""
    return pick(draw, _WEIGHTED)(draw)
