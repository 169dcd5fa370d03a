"""Sentences without action: states, comparisons, existence, possession, exclamations."""

from __future__ import annotations

from functools import cache

from penstock.data.grammar.clauses import (
    Draw,
    Text,
    join_subject,
    pick,
    pick_phrase,
    pick_subject,
    place_options,
    same_people,
)
from penstock.data.grammar.french import elide, with_de
from penstock.data.grammar.lexicon import ADJECTIVES, COLOURS, PREDICATES, Adjective
from penstock.data.grammar.phrases import Phrase, noun_phrases, people
from penstock.data.grammar.verb_groups import copula, have_state

# English adjective, French noun after avoir
_HAVING = (("hungry", "faim"), ("thirsty", "soif"), ("cold", "froid"), ("afraid", "peur"))
_REASONS = ("tired", "sick", "busy", "sad", "late", "happy")
_DEGREES = (("", ""), ("", ""), ("very ", "très "), ("too ", "trop "))
_FAMILIES = (
    COLOURS,
    ("small", "big"),
    ("old", "new", "young"),
    ("happy", "sad"),
    ("beautiful", "pretty"),
)
_KINDS = tuple(kind for kind in PREDICATES if kind != "person")
_COMPARABLE = {
    "clothes": "old beautiful expensive pretty",
    "vehicle": "small big old beautiful expensive",
    "home": "small big old beautiful expensive",
    "animal": "small big old young beautiful",
    "text": "interesting old",
    "food": "good delicious small big",
    "person": "old young rich famous kind intelligent tall happy",
}


@cache
def _adjectives(words: str) -> tuple[Adjective, ...]:
    return tuple(ADJECTIVES[word] for word in words.split())


def _fitting(words: str, subject: Phrase) -> list[Adjective]:
    """The adjectives that neither repeat nor contradict what the phrase already says."""
    said = subject.en.split()
    ruled_out = {
        other for family in _FAMILIES for word in said if word in family for other in family
    }
    return [a for a in _adjectives(words) if a.en not in ruled_out and a.en not in said]


def state(draw: Draw, *, past: bool) -> Text:
    """`the house is very old`, `la maison est très vieille`; or a person and how she is."""
    if draw() < 0.5:
        return state_of(draw, pick_subject(draw), past=past, tired=False)
    kind = pick(draw, _KINDS)
    subject = pick_phrase(draw, noun_phrases((kind,), "definite"))
    return quality(draw, subject, kind, past=past)


def quality(draw: Draw, subject: Phrase, kind: str, *, past: bool) -> Text:
    """What a thing of this kind is like: red, too heavy, not old."""
    adjectives = _fitting(PREDICATES[kind], subject)
    return _predicate(draw, subject, pick(draw, adjectives), past=past)


def state_of(draw: Draw, subject: Phrase, *, past: bool, tired: bool) -> Text:
    """How a person is; `tired` keeps to what makes one stay at home."""
    if draw() < 0.3:
        en, fr = pick(draw, _HAVING)
        negated = draw() < 0.15
        be, _ = copula(subject.person, past=past, negated=negated)
        have = have_state(subject.person, past=past, negated=negated)
        return f"{subject.en} {be} {en}", join_subject(subject.fr, f"{have} {fr}")
    words = " ".join(_REASONS) if tired else PREDICATES["person"]
    return _predicate(draw, subject, pick(draw, _fitting(words, subject)), past=past)


def _predicate(draw: Draw, subject: Phrase, adjective: Adjective, *, past: bool) -> Text:
    negated = draw() < 0.15
    degree_en, degree_fr = pick(draw, _DEGREES) if adjective.more and not negated else ("", "")
    en, fr = copula(subject.person, past=past, negated=negated)
    return (
        f"{subject.en} {en} {degree_en}{adjective.en}",
        join_subject(subject.fr, f"{fr} {degree_fr}{adjective.forms[subject.agreement]}"),
    )


def comparison(draw: Draw) -> Text:
    """`my car is older than this boat`, `ma voiture est plus vieille que ce bateau`."""
    kind = pick(draw, tuple(_COMPARABLE))
    groups = people() if kind == "person" else noun_phrases((kind,), "definite")
    one, other = pick_phrase(draw, groups), pick_phrase(draw, groups)
    while same_people(one, other):
        other = pick_phrase(draw, groups)
    adjective = pick(draw, _fitting(_COMPARABLE[kind], one))
    form = adjective.forms[one.agreement]
    more = f"meilleur{form[3:].replace('ne', 'e')}" if adjective.en == "good" else f"plus {form}"
    en, fr = copula(one.person, past=False, negated=False)
    return (
        f"{one.en} {en} {adjective.more} than {other.en}",
        f"{one.fr} {fr} {more} {elide('que', other.fr)}",
    )


_BESIDE = (
    ("under", "sous", "furniture"),
    ("on", "sur", "furniture"),
    ("behind", "derrière", "home"),
    ("in front of", "devant", "building"),
    ("near", "près de", "building"),
    ("near", "près de", "home"),
)


def there_is(draw: Draw) -> Text:
    """`there is a cat under the table`, `il y a un chat sous la table`."""
    thing = pick_phrase(
        draw, noun_phrases(("animal", "thing", "gift", "book", "newspaper"), "possessed")
    )
    negated = draw() < 0.2
    plural = thing.agreement >= 2
    be = "are" if plural else "is"
    en = f"there {be} not {thing.en_negated}" if negated else f"there {be} {thing.en}"
    fr = f"il n'y a pas {thing.fr_negated}" if negated else f"il y a {thing.fr}"
    where_en, where_fr = _location(draw)
    return f"{en} {where_en}", f"{fr} {where_fr}"


def _location(draw: Draw) -> Text:
    if draw() < 0.4:
        return pick(draw, place_options(("inside", "public"), "at"))
    en, fr, kind = pick(draw, _BESIDE)
    place = pick_phrase(draw, noun_phrases((kind,), "definite"))
    if fr == "près de":
        return f"{en} {place.en}", f"près {with_de(place.fr)}"
    return f"{en} {place.en}", f"{fr} {place.fr}"


def starting(draw: Draw, kinds: tuple[str, ...], *determiners: str) -> Phrase:
    """A definite phrase with one of these determiners."""
    while True:
        thing = pick_phrase(draw, noun_phrases(kinds, "definite"))
        if thing.en.split(" ", 1)[0] in determiners:
            return thing


def possession(draw: Draw) -> Text:
    """`Anna's car is red`, `la voiture d'Anna est rouge`."""
    owner = pick_phrase(draw, people())
    while owner.en.endswith("s") or " and " in owner.en:
        owner = pick_phrase(draw, people())
    kind = pick(draw, ("clothes", "vehicle", "thing", "animal", "text"))
    noun = starting(draw, (kind,), "the")
    thing = noun._replace(en=f"{owner.en}'s {noun.en[4:]}", fr=f"{noun.fr} {with_de(owner.fr)}")
    return quality(draw, thing, kind, past=draw() < 0.2)


def exclamation(draw: Draw) -> Text:
    """`what a beautiful house`, `quelle belle maison`."""
    kinds = ("vehicle", "clothes", "animal", "home", "gift", "text")
    thing = pick_phrase(draw, noun_phrases(kinds, "possessed"))
    while not thing.en.startswith(("a ", "an ")) or thing.en.count(" ") == 1:
        thing = pick_phrase(draw, noun_phrases(kinds, "possessed"))
    what = "quelle" if thing.agreement == 1 else "quel"
    return f"what {thing.en}", f"{what} {thing.fr.split(' ', 1)[1]}"


_WHEREABOUTS = ("stop", "building")


def courtesy(draw: Draw) -> tuple[Text, str]:
    """Asking the way, thanking, ordering; with its closing mark."""
    chance = draw()
    if chance < 0.35:
        place = starting(draw, _WHEREABOUTS, "the")
        en_be, fr_be = copula(place.person, past=False, negated=False)
        return (
            (f"excuse me, where {en_be} {place.en}", f"excusez-moi, où {fr_be} {place.fr}"),
            "?",
        )
    if chance < 0.6:
        gift = starting(draw, ("gift", "food", "text"), "the", "this", "these", "your")
        return (f"thank you for {gift.en}", f"merci pour {gift.fr}"), "."
    treat = pick_phrase(draw, noun_phrases(("food", "dish", "drink"), "any"))
    en, fr = f"I would like {treat.en}, please", f"je voudrais {treat.fr}, s'il vous plaît"
    return (en, fr), "."
