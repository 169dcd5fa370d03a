"""Whole sentences: the patterns with their weights, capitals and closing marks."""

from __future__ import annotations

from collections.abc import Callable

from penstock.data.grammar import linked, questions
from penstock.data.grammar.clauses import (
    Draw,
    Text,
    clause,
    pick,
    pick_frame,
    pick_object,
    pick_tense,
    pick_time,
    place_options,
    takes_time,
)
from penstock.data.grammar.descriptions import (
    comparison,
    courtesy,
    exclamation,
    possession,
    state,
    there_is,
)
from penstock.data.grammar.french import VOUS, elide
from penstock.data.grammar.phrases import SUBJECT_PRONOUNS, Phrase
from penstock.data.grammar.verb_groups import Middle
from penstock.data.grammar.verbs import (
    FRAME,
    Frame,
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
        when_en, when_fr = pick_time(draw, frame, tense, Middle.PLAIN)
        return _end((f"{when_en}, {en}", f"{when_fr}, {fr}"))
    return _end((en, fr))


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


_PATTERNS: tuple[tuple[int, Callable[[Draw], Text]], ...] = (
    (42, _statement),
    (10, lambda draw: _end(questions.question(draw), "?")),
    (4, lambda draw: _end(questions.wh_question(draw), "?")),
    (2, lambda draw: _end(questions.where_question(draw), "?")),
    (2, lambda draw: _end(questions.what_question(draw), "?")),
    (2, lambda draw: _end(questions.who_question(draw), "?")),
    (2, lambda draw: _end(questions.how_many(draw), "?")),
    (5, _order),
    (5, lambda draw: _end(linked.that_clause(draw))),
    (2, lambda draw: _end(linked.whether(draw))),
    (3, lambda draw: _end(linked.because(draw))),
    (2, lambda draw: _end(linked.if_weather(draw))),
    (4, lambda draw: _end(linked.it(draw))),
    (6, lambda draw: _end(state(draw, past=draw() < 0.3))),
    (4, lambda draw: _end(comparison(draw))),
    (3, lambda draw: _end(there_is(draw))),
    (2, lambda draw: _end(linked.who_clause(draw))),
    (3, lambda draw: _end(linked.that_relative(draw))),
    (3, lambda draw: _end(*courtesy(draw))),
    (2, lambda draw: _end(possession(draw))),
    (2, lambda draw: _end(exclamation(draw), "!")),
)
_WEIGHTED = tuple(pattern for weight, pattern in _PATTERNS for _ in range(weight))


def sentence(draw: Draw) -> Text:
    """One sentence in English and French."""
    return pick(draw, _WEIGHTED)(draw)
