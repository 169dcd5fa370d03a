"""The verbs and their complements: objects, pronouns, places."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.data.grammar import english, french
from penstock.data.grammar.english import EnglishVerb
from penstock.data.grammar.french import Conjugation


@dataclass(frozen=True, slots=True, eq=False)
class Verb:
    """One verb in both languages. A stative verb has no progressive; its past is an imparfait."""

    en: EnglishVerb
    fr: Conjugation
    stative: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A verb with what it takes.

    `objects` are noun kinds; `articles` says which determiners they bear (`any`, `definite`,
    `generic`); `dative` puts `à` before a person; `pronouns` allows me, him, them …;
    `places` are kinds of places, `motion` is `at`, `to` or `from`.
    `aspect` limits the tenses: `open`, `state`, `mishap` (lose), `sudden` (fall),
    `grasp` (understand), `dwelling` (live).
    """

    verb: Verb
    objects: tuple[str, ...] = ()
    articles: str = "any"
    dative: bool = False
    pronouns: bool = False
    recipient: bool = False
    places: tuple[str, ...] = ()
    motion: str = "at"
    needs_place: bool = False
    company: bool = False
    aspect: str = "open"


# base/past French | objects | articles | options | places
_TRANSITIVE = """
eat/ate manger | food dish | any | company | restaurant kitchen garden
drink/drank boire | drink | any | company | restaurant kitchen garden
read/read lire | text | any | | garden library park
write/wrote écrire | letter poem story | any | | garden library park
buy/bought acheter | food dish drink goods | any | | market city
sell/sold vendre | food goods | any | | market city
prepare/- préparer | cake sandwich salad soup meat rice | any | | kitchen
see/saw voir | people animal building home vehicle | count | pronouns glimpse | public city
find/found trouver | clothes thing gift animal text | count | mishap | public inside
lose/lost perdre | clothes thing gift | definite | mishap | public
choose/chose choisir | clothes thing gift text vehicle | count | |
wash/- laver | clothes vehicle opening | definite | |
clean/- nettoyer | home kitchen office vehicle | definite | |
drive/drove conduire | car truck | count | | city country
wear/wore porter | clothes | count | |
break/broke casser | thing opening | definite | mishap |
open/- ouvrir | opening letter box bag | definite | |
close/- fermer | opening box bag | definite | |
visit/- visiter | building home | count | company | city country
watch/- regarder | film animal | count | company | garden park
listen_to/- écouter | sound teacher doctor parent name | definite | pronouns | garden park
sing/sang chanter | song | count | company | church garden school
forget/forgot oublier | clothes thing gift text | definite | mishap | public
help/- aider | people | definite | pronouns | public
wait_for/- attendre | people | definite | pronouns | public
look_for/- chercher | thing animal clothes people | definite | pronouns | public city
meet/met rencontrer | people | count | pronouns | public city
invite/- inviter | role kin parent name human | definite | pronouns |
call/- appeler | role kin parent name | definite | pronouns |
understand/understood comprendre | people text film | definite | pronouns grasp |
draw/drew dessiner | animal building home tree flower car human | count | | garden park
talk_to/- parler_à | role kin parent name human | definite | dative pronouns | public
answer/- répondre_à | role kin parent name human | definite | dative pronouns |
give/gave donner | gift clothes thing text food | count | recipient |
show/- montrer | gift clothes thing text house photo | count | recipient |
send/sent envoyer | gift text photo | count | recipient |
bring/brought apporter | gift food drink text chair | count | recipient |
"""

_STATIVE = """
like/- aimer | role kin name parent | definite | pronouns
like/- aimer | food dish drink text clothes animal sound film | generic |
like/- aimer | clothes vehicle thing gift home text animal film | definite |
know/knew connaître | role kin name parent human building | definite | pronouns
have/had avoir | clothes vehicle animal thing gift house apartment kin text | possessed |
want/wanted vouloir | clothes vehicle thing gift food dish drink text animal | any |
"""

# base/past French | motion | places | options
_INTRANSITIVE = """
go/went aller | to | public city country | needs company
arrive/- arriver | at | public city | needs
stay/- rester | at | public city country inside | needs company
come_back/came revenir | from | public city country | needs company
live/- habiter | at | city country | needs dwelling
work/- travailler | at | public city country inside | company
sleep/slept dormir | at | hotel hospital garden | needs
play/- jouer | at | garden park street beach school | needs company
dance/- danser | at | garden street beach restaurant | company
walk/- marcher | at | garden park forest beach street | needs company
run/ran courir | at | garden park forest beach street | needs company
travel/- voyager | at | country | needs company
fall/fell tomber | at | garden park kitchen street | needs sudden
get_up/got se_lever | at | |
go_to_bed/went se_coucher | at | |
wake_up/woke se_réveiller | at | |
get_dressed/got s'habiller | at | |
have_fun/had s'amuser | at | garden park beach school city | company
rest/- se_reposer | at | garden park beach hotel |
fall_asleep/fell s'endormir | at | garden park library | sudden
"""


def _verb(text: str, *, stative: bool = False) -> Verb:
    forms, fr = text.split()
    base, _, past = forms.partition("/")
    return Verb(
        english.inflect(base.replace("_", " "), "" if past == "-" else past),
        french.conjugate(fr.replace("_à", "").replace("_", " ")),
        stative,
    )


def _kinds(objects: str) -> tuple[str, ...]:
    objects = objects.replace("people", "role worker human kin parent name")
    return tuple(
        objects.replace("goods", "clothes thing gift vehicle text house apartment").split()
    )


def _cells(table: str) -> list[list[str]]:
    lines = (line for line in table.splitlines() if line)
    return [[cell.strip() for cell in line.split("|")] for line in lines]


_ASPECTS = ("mishap", "sudden", "grasp", "glimpse", "dwelling")


def _aspect(options: str) -> str:
    return next((word for word in _ASPECTS if word in options), "open")


def _frames() -> tuple[list[Frame], list[Frame], list[Frame]]:
    transitive = [
        Frame(
            _verb(text),
            _kinds(objects),
            articles,
            dative="dative" in options,
            pronouns="pronouns" in options,
            recipient="recipient" in options,
            company="company" in options,
            places=tuple(where.split()),
            aspect=_aspect(options),
        )
        for text, objects, articles, options, where in _cells(_TRANSITIVE)
    ]
    stative = [
        Frame(
            _verb(text, stative=True),
            _kinds(objects),
            articles,
            pronouns="pronouns" in options,
            aspect="state",
        )
        for text, objects, articles, options in _cells(_STATIVE)
    ]
    intransitive = [
        Frame(
            _verb(text),
            motion=motion,
            places=tuple(where.split()),
            needs_place="needs" in options,
            company="company" in options,
            aspect=_aspect(options),
        )
        for text, motion, where, options in _cells(_INTRANSITIVE)
    ]
    return transitive, stative, intransitive


TRANSITIVE, STATIVE, INTRANSITIVE = _frames()
OPEN = tuple(frame for frame in (*TRANSITIVE, *INTRANSITIVE) if frame.aspect == "open")
FRAME = {frame.verb.en.base: frame for frame in (*STATIVE, *TRANSITIVE, *INTRANSITIVE)}
THINK = _verb("think/thought penser")
SAY = _verb("say/said dire")
KNOW_THAT = _verb("know/knew savoir", stative=True)
HOPE = _verb("hope/- espérer")
PREFER = _verb("prefer/preferred préférer", stative=True)
