"""French morphology: elision, contraction, agreement and conjugation.

Agreement is one index everywhere: 0 masculine singular, 1 feminine singular, 2 masculine plural,
3 feminine plural. Person is one index too: je, tu, il, nous, vous, ils are 0 to 5.
"""

from __future__ import annotations

from typing import NamedTuple

MS, FS, MP, FP = range(4)
JE, TU, IL, NOUS, VOUS, ILS = range(6)

_VOWELS = frozenset("aeiouâàéèêîïôûœAEIOUÂÀÉÈÊÎÔŒ")
# an aspirated h blocks elision and liaison; every other h of the lexicon is mute
_ASPIRATED = ("homard", "hibou", "hamster", "huit", "haut")
_REFLEXIVE = ("me", "te", "se", "nous", "vous", "se")


class Conjugation(NamedTuple):
    """All the forms of one verb that the grammar uses; finite tenses are indexed by person."""

    infinitive: str
    present: tuple[str, ...]
    imperfect: tuple[str, ...]
    future: tuple[str, ...]
    participles: tuple[str, ...]
    with_etre: bool
    reflexive: bool


def opens_with_vowel(text: str) -> bool:
    """Whether `text` begins with a vowel sound: a vowel or a mute h."""
    first = text[0]
    return first in _VOWELS or (first == "h" and not text.startswith(_ASPIRATED))


def elide(word: str, following: str) -> str:
    """Join `word` (je, ne, le, la, de, que, si, me, se …) to what follows, eliding its vowel.

    `si` elides before `il` and `ils` only; words that never elide are joined by a space.
    """
    if word == "si":
        return (
            f"s'{following}" if following.split(" ", 1)[0] in ("il", "ils") else f"si {following}"
        )
    if word[-1] in "ea" and opens_with_vowel(following):
        return f"{word[:-1]}'{following}"
    return f"{word} {following}"


def with_a(phrase: str) -> str:
    """`à` before a noun phrase, contracted: `au marché`, `aux amis`, `à l'école`."""
    if phrase.startswith("le "):
        return "au" + phrase[2:]
    if phrase.startswith("les "):
        return "aux" + phrase[3:]
    return "à " + phrase


def with_de(phrase: str) -> str:
    """`de` before a noun phrase, contracted and elided: `du marché`, `des amis`, `d'Anna`."""
    if phrase.startswith("le "):
        return "du" + phrase[2:]
    if phrase.startswith("les "):
        return "des" + phrase[3:]
    return elide("de", phrase)


def pluralize(word: str) -> str:
    """The plural of a noun or of a masculine adjective."""
    if word.endswith(("s", "x", "z")):
        return word
    if word.endswith(("eau", "eu", "hibou")) and word != "bleu":
        return word + "x"
    if word.endswith("al"):
        return word[:-2] + "aux"
    return word + "s"


def inflect(masculine: str, feminine: str = "") -> tuple[str, str, str, str]:
    """The four forms of an adjective or participle; a regular feminine may be left out."""
    if not feminine:
        feminine = masculine if masculine.endswith("e") else masculine + "e"
    return masculine, feminine, pluralize(masculine), feminine + "s"


def possessive(stem: str, *, feminine: bool, plural: bool, following: str) -> str:
    """A possessive of the stem `m`, `s`, `notre`, `votre` or `leur` joined to its noun."""
    if stem in ("m", "s"):
        if plural:
            form = stem + "es"
        else:
            form = stem + ("a" if feminine and not opens_with_vowel(following) else "on")
    elif plural:
        form = "leurs" if stem == "leur" else stem[:2] + "s"
    else:
        form = stem
    return f"{form} {following}"


_PRESENT_ENDINGS = {
    "er": ("e", "es", "e", "ons", "ez", "ent"),
    "ir": ("is", "is", "it", "issons", "issez", "issent"),
    "re": ("s", "s", "", "ons", "ez", "ent"),
}
_IMPERFECT_ENDINGS = ("ais", "ais", "ait", "ions", "iez", "aient")
_FUTURE_ENDINGS = ("ai", "as", "a", "ons", "ez", "ont")

# the stem of verbs in -er whose stem changes under stress, and their future stem
_STRESSED = {
    "acheter": ("achèt", "achèter"),
    "lever": ("lèv", "lèver"),
    "appeler": ("appell", "appeller"),
    "espérer": ("espèr", "espérer"),
    "préférer": ("préfèr", "préférer"),
    "nettoyer": ("nettoi", "nettoier"),
    "envoyer": ("envoi", "enverr"),
}

# infinitive: present, participle, future stem
_IRREGULAR = {
    "avoir": ("ai as a avons avez ont", "eu", "aur"),
    "être": ("suis es est sommes êtes sont", "été", "ser"),
    "aller": ("vais vas va allons allez vont", "allé", "ir"),
    "venir": ("viens viens vient venons venez viennent", "venu", "viendr"),
    "revenir": ("reviens reviens revient revenons revenez reviennent", "revenu", "reviendr"),
    "partir": ("pars pars part partons partez partent", "parti", "partir"),
    "dormir": ("dors dors dort dormons dormez dorment", "dormi", "dormir"),
    "endormir": ("endors endors endort endormons endormez endorment", "endormi", "endormir"),
    "courir": ("cours cours court courons courez courent", "couru", "courr"),
    "boire": ("bois bois boit buvons buvez boivent", "bu", "boir"),
    "lire": ("lis lis lit lisons lisez lisent", "lu", "lir"),
    "écrire": ("écris écris écrit écrivons écrivez écrivent", "écrit", "écrir"),
    "voir": ("vois vois voit voyons voyez voient", "vu", "verr"),
    "conduire": (
        "conduis conduis conduit conduisons conduisez conduisent",
        "conduit",
        "conduir",
    ),
    "ouvrir": ("ouvre ouvres ouvre ouvrons ouvrez ouvrent", "ouvert", "ouvrir"),
    "connaître": (
        "connais connais connaît connaissons connaissez connaissent",
        "connu",
        "connaîtr",
    ),
    "vouloir": ("veux veux veut voulons voulez veulent", "voulu", "voudr"),
    "pouvoir": ("peux peux peut pouvons pouvez peuvent", "pu", "pourr"),
    "devoir": ("dois dois doit devons devez doivent", "dû", "devr"),
    "savoir": ("sais sais sait savons savez savent", "su", "saur"),
    "prendre": ("prends prends prend prenons prenez prennent", "pris", "prendr"),
    "comprendre": (
        "comprends comprends comprend comprenons comprenez comprennent",
        "compris",
        "comprendr",
    ),
    "dire": ("dis dis dit disons dites disent", "dit", "dir"),
}

_ETRE = frozenset(["aller", "arriver", "partir", "rester", "revenir", "tomber", "venir"])


def conjugate(verb: str) -> Conjugation:
    """Conjugate an infinitive, which may begin with `se ` or `s'`."""
    infinitive = verb.removeprefix("se ").removeprefix("s'")
    reflexive = infinitive != verb
    if infinitive in _IRREGULAR:
        present_text, participle, future_stem = _IRREGULAR[infinitive]
        present = tuple(present_text.split())
    else:
        present, participle, future_stem = _conjugate_regular(infinitive)
    past_stem = "ét" if infinitive == "être" else present[NOUS].removesuffix("ons")
    return Conjugation(
        infinitive,
        present,
        tuple(_past_form(past_stem, ending) for ending in _IMPERFECT_ENDINGS),
        tuple(future_stem + ending for ending in _FUTURE_ENDINGS),
        inflect(participle, "due" if participle == "dû" else participle + "e"),
        reflexive or infinitive in _ETRE,
        reflexive,
    )


def _conjugate_regular(infinitive: str) -> tuple[tuple[str, ...], str, str]:
    stem, group = infinitive[:-2], infinitive[-2:]
    stressed, future_stem = _STRESSED.get(infinitive, (stem, infinitive.removesuffix("e")))
    present: list[str] = []
    for person, ending in enumerate(_PRESENT_ENDINGS[group]):
        base = stem if person in (NOUS, VOUS) else stressed
        # manger keeps its soft g: nous mangeons
        present.append(base + ("e" if base[-1] == "g" and ending[:1] == "o" else "") + ending)
    participle = stem + {"er": "é", "ir": "i", "re": "u"}[group]
    return tuple(present), participle, future_stem


def _past_form(stem: str, ending: str) -> str:
    if stem.endswith("ge") and ending[0] == "i":
        return stem[:-1] + ending
    return stem + ending


def reflexive_pronoun(person: int) -> str:
    """The pronoun of a reflexive verb: me, te, se, nous, vous, se."""
    return _REFLEXIVE[person]
