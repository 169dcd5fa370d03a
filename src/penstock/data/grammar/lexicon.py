"""The words: nouns by what one does with them, adjectives, names, places and times.

One English word has one French word in the same construction, so that the
translation stays a function of the source.
"""

from __future__ import annotations

from typing import NamedTuple

from penstock.data.grammar import english, french


class Noun(NamedTuple):
    """A noun with both plurals. `kind` is its class: food, drink, animal, person, kin …"""

    en: str
    en_plural: str
    fr: str
    fr_plural: str
    feminine: bool
    kind: str


class Adjective(NamedTuple):
    """An adjective: four French forms, the form before a vowel, its place and its comparative."""

    en: str
    more: str
    forms: tuple[str, str, str, str]
    before_vowel: str
    precedes: bool


class Place(NamedTuple):
    """A place as location, destination and origin."""

    en_at: str
    en_to: str
    en_from: str
    fr_at: str
    fr_from: str


# kind: English French gender, separated by semicolons
_NOUNS = {
    "food": """apple pomme f; orange orange f; egg œuf m; cake gâteau m; banana banane f;
        tomato tomate f; carrot carotte f; sandwich sandwich m; lobster homard m; salad salade f""",
    "dish": "bread pain m; cheese fromage m; soup soupe f; rice riz m; meat viande f",
    "drink": "water eau f; coffee café m; tea thé m; milk lait m; wine vin m; beer bière f",
    "text": "book livre m; letter lettre f; newspaper journal m; story histoire f; poem poème m",
    "clothes": """coat manteau m; hat chapeau m; shirt chemise f; jacket veste f; sweater pull m;
        scarf écharpe f""",
    "vehicle": "car voiture f; bike vélo m; boat bateau m; truck camion m",
    "thing": """key clé f; bag sac m; phone téléphone m; clock horloge f; computer ordinateur m;
        chair chaise f; lamp lampe f; umbrella parapluie m; box boîte f; knife couteau m""",
    "gift": "flower fleur f; gift cadeau m; photo photo f; drawing dessin m",
    "building": """hotel hôtel m; museum musée m; church église f; library bibliothèque f;
        hospital hôpital m""",
    "home": """house maison f; apartment appartement m; shop magasin m; school école f;
        restaurant restaurant m""",
    "opening": "door porte f; window fenêtre f",
    "room": "kitchen cuisine f; garden jardin m; street rue f; forest forêt f; park parc m",
    "stop": "station gare f; market marché m; beach plage f; airport aéroport m; office bureau m",
    "furniture": "table table f; bed lit m; tree arbre m; bench banc m",
    "animal": """dog chien m; cat chat m; bird oiseau m; horse cheval m; rabbit lapin m;
        owl hibou m; cow vache f; mouse souris f""",
    "role": """teacher professeur m; doctor médecin m; student étudiant m; neighbor voisin m;
        lawyer avocat m; colleague collègue m""",
    "worker": "nurse infirmière f; actress actrice f; waitress serveuse f; singer chanteur m",
    "human": "child enfant m; man homme m; woman femme f; boy garçon m; girl fille f",
    "kin": """brother frère m; sister sœur f; uncle oncle m; aunt tante f; cousin cousin m;
        friend ami m""",
    "parent": "mother mère f; father père m; grandmother grand-mère f; grandfather grand-père m",
    "sound": "music musique f; song chanson f; radio radio f",
    "film": "movie film m",
}

NAMES_M = ("Paul", "Pierre", "Thomas", "Lucas", "Louis", "Antoine")
NAMES_F = ("Marie", "Julie", "Sophie", "Anna", "Emma", "Alice")

# English, comparative, masculine, feminine (or -), form before a vowel (or -)
_BEFORE = """small smaller petit - -; big bigger grand - -; beautiful more_beautiful beau belle bel;
    old older vieux vieille vieil; new newer nouveau nouvelle nouvel; good better bon bonne -;
    young younger jeune - -; pretty prettier joli - -"""
_AFTER = """red - rouge - -; blue - bleu - -; green - vert - -; white - blanc blanche -;
    black - noir - -; yellow - jaune - -; expensive more_expensive cher chère -;
    heavy heavier lourd - -; delicious more_delicious délicieux délicieuse -;
    fresh - frais fraîche -; cold colder froid - -; hot hotter chaud - -;
    interesting more_interesting intéressant - -; rich richer riche - -;
    famous more_famous célèbre - -; French - français - -; Italian - italien italienne -;
    intelligent more_intelligent intelligent - -; kind kinder gentil gentille -;
    tired more_tired fatigué - -; happy happier heureux heureuse -; sad sadder triste - -;
    sick - malade - -; busy busier occupé - -; tall taller grand - -; ready - prêt - -;
    late - en_retard en_retard -"""

COLOURS = ("red", "blue", "green", "white", "black", "yellow")

# attributes and predicates of nouns, by kind, or by noun where it differs
ATTRIBUTES = {
    "food": "small big good delicious expensive",
    "dish": "good delicious",
    "drink": "good cold",
    "text": "old new good interesting French Italian",
    "clothes": "old new beautiful pretty expensive Italian red blue green white black yellow",
    "vehicle": "small big old new beautiful expensive French red blue green white black yellow",
    "thing": "small big old new heavy expensive red blue green white black yellow",
    "gift": "small beautiful pretty",
    "building": "small big old new beautiful white",
    "home": "small big old new beautiful expensive",
    "opening": "small big old new red blue green white black yellow",
    "room": "small big old beautiful",
    "stop": "small big old new beautiful",
    "furniture": "small big old beautiful",
    "animal": "small big old young beautiful white black",
    "role": "old new young good famous rich kind French Italian intelligent",
    "worker": "old new young good famous kind French Italian intelligent",
    "human": "old young rich kind intelligent French Italian happy sad",
    "child": "small kind intelligent happy sad French Italian",
    "boy": "small young kind intelligent happy sad French Italian",
    "girl": "small young kind intelligent happy sad French Italian",
    "sound": "beautiful old new French Italian",
    "film": "good old new beautiful interesting French Italian",
}
PREDICATES = {
    "food": "small big good delicious expensive fresh",
    "dish": "good delicious cold hot expensive",
    "drink": "good cold hot expensive",
    "text": "old good interesting beautiful",
    "clothes": "old beautiful expensive pretty red blue green white black yellow",
    "vehicle": "small big old beautiful expensive red blue green white black yellow",
    "thing": "small big old heavy expensive red blue green white black yellow",
    "gift": "small beautiful pretty expensive",
    "building": "small big old beautiful",
    "opening": "small big old red blue green white black yellow",
    "home": "small big old beautiful expensive",
    "room": "small big old beautiful",
    "stop": "small big old beautiful",
    "furniture": "small big old beautiful",
    "animal": "small big old young beautiful white black",
    "film": "good old beautiful interesting",
    "person": "old young rich famous kind intelligent tired happy sad sick busy tall ready late",
}

# English preposition at the place, then the place; all but the cities and countries are nouns
_AT = "market station beach hotel hospital airport office restaurant library museum school church"
_IN = "kitchen garden forest park"
_CITIES = "Paris Paris; London Londres; Rome Rome; Madrid Madrid; Lyon Lyon; Athens Athènes"
_COUNTRIES = """France en_France de_France; Italy en_Italie d'Italie; Spain en_Espagne d'Espagne;
    Germany en_Allemagne d'Allemagne; Japan au_Japon du_Japon; Canada au_Canada du_Canada"""

NUMBERS = """two deux; three trois; four quatre; five cinq; six six; seven sept; eight huit;
    nine neuf; ten dix"""


def rows(table: str) -> list[list[str]]:
    """The cells of a table written as text: rows end in `;`, `_` stands for a space in a cell."""
    return [[cell.replace("_", " ") for cell in row.split()] for row in table.split(";")]


def _nouns() -> dict[str, tuple[Noun, ...]]:
    return {
        kind: tuple(
            Noun(en, english.pluralize(en), fr, french.pluralize(fr), gender == "f", kind)
            for en, fr, gender in rows(table)
        )
        for kind, table in _NOUNS.items()
    }


def _adjectives() -> dict[str, Adjective]:
    found: dict[str, Adjective] = {}
    for table, precedes in ((_BEFORE, True), (_AFTER, False)):
        for en, more, masculine, feminine, before_vowel in rows(table):
            forms = french.inflect(masculine, "" if feminine == "-" else feminine)
            if en == "late":
                forms = (masculine, masculine, masculine, masculine)
            liaison = masculine if before_vowel == "-" else before_vowel
            found[en] = Adjective(en, "" if more == "-" else more, forms, liaison, precedes)
    return found


NOUNS = _nouns()
NOUN = {noun.en: noun for nouns in NOUNS.values() for noun in nouns}
ADJECTIVES = _adjectives()


def places() -> dict[str, tuple[Place, ...]]:
    """Places by kind: `public` (the market …), `inside` (the garden …), `city`, `country`."""
    found: dict[str, list[Place]] = {"public": [], "inside": [], "city": [], "country": []}
    for kind, preposition, words in (("public", "at", _AT), ("inside", "in", _IN)):
        for word in words.split():
            noun = NOUN[word]
            the = french.elide("la" if noun.feminine else "le", noun.fr)
            at = french.with_a(the) if kind == "public" else f"dans {the}"
            en = f"the {word}"
            found[kind].append(
                Place(f"{preposition} {en}", f"to {en}", f"from {en}", at, french.with_de(the))
            )
    for en, fr in rows(_CITIES):
        found["city"].append(
            Place(f"in {en}", f"to {en}", f"from {en}", f"à {fr}", french.with_de(fr))
        )
    for en, at, origin in rows(_COUNTRIES):
        found["country"].append(Place(f"in {en}", f"to {en}", f"from {en}", at, origin))
    return {kind: tuple(list_) for kind, list_ in found.items()}


# times by the tense they suit
TIMES = {
    "habit": (
        ("every day", "tous les jours"),
        ("every morning", "tous les matins"),
        ("every evening", "tous les soirs"),
        ("every Sunday", "tous les dimanches"),
    ),
    "now": (
        ("now", "maintenant"),
        ("today", "aujourd'hui"),
        ("at the moment", "en ce moment"),
    ),
    "past": (
        ("yesterday", "hier"),
        ("last night", "hier soir"),
        ("last week", "la semaine dernière"),
        ("two days ago", "il y a deux jours"),
        ("three weeks ago", "il y a trois semaines"),
        ("this morning", "ce matin"),
        ("on Monday", "lundi"),
        ("on Friday", "vendredi"),
    ),
    "clock": (
        ("at six o'clock", "à six heures"),
        ("at seven o'clock", "à sept heures"),
        ("at eleven o'clock", "à onze heures"),
        ("early", "tôt"),
    ),
    "was": (
        ("at eight o'clock", "à huit heures"),
        ("at ten o'clock", "à dix heures"),
        ("yesterday morning", "hier matin"),
        ("yesterday", "hier"),
    ),
    "future": (
        ("tomorrow", "demain"),
        ("tomorrow morning", "demain matin"),
        ("tonight", "ce soir"),
        ("next week", "la semaine prochaine"),
        ("on Saturday", "samedi"),
        ("on Monday", "lundi"),
        ("in three days", "dans trois jours"),
        ("at nine o'clock", "à neuf heures"),
    ),
}
