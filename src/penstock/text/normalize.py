r"""The book's preprocessing of raw sentence pairs, with its defects fixed.

The chapter replaces U+202F and U+00A0 by a space, lowers the case and puts a space before each of
`,.!?` (d2l.ai, 'Machine Translation and the Dataset', `preprocess_nmt`). The differences:

| the book | here |
|---|---|
| `3.14` and `1,000` become `3 .14` and `1 ,000` | a `.` or `,` between two digits stays |
| `U.S.A.` becomes `u .s .a .` | two or more letters, each followed by a dot, stay one word |
| U+2009 and U+2007 survive and glue words | every space separator (Unicode Zs) is a space |
| U+200B, U+FEFF, U+2060, U+00AD survive inside words | removed: they are invisible |
| `’` survives beside `'` | `’` becomes `'` |
| composed and decomposed accents differ | canonical composition (NFC) |
| `,.!?` get a space unless U+0020 precedes, even after a tab | any white space suffices |

As in the book, a mark followed by a letter stays with it (`a,b` becomes `a ,b`), and the last dot
of `U.S.A.` is not distinguished from a full stop.
"""

from __future__ import annotations

import re
import unicodedata

_CHARACTERS = str.maketrans(
    dict.fromkeys(
        "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f"
        "\u205f\u3000",
        " ",
    )
    | dict.fromkeys("\u200b\ufeff\u2060\u00ad", "")
    | {"’": "'"}
)

# the first two alternatives consume what must stay whole
_MARK = re.compile(r"(?<!\w)(?:[^\W\d_]\.){2,}|(?<=\d)[.,](?=\d)|(?<=\S)([,.!?])")
# but not where the two sides would read as a number or an abbreviation: `3 .14`, `u .s`, `u.s.a .`
_SPACE_BEFORE_MARK = re.compile(
    r" (?=[,.!?])(?!(?<=\d )[.,]\d)(?!(?<=\b[^\W\d_] )\.[^\W\d_])"
    r"(?!(?<=\b[^\W\d_]\.[^\W\d_]\.[^\W\d_] )\.)"
)


def preprocess(text: str) -> str:
    """Lower-case, unify spaces, and put a space before `,.!?`.

    >>> preprocess("Il dit\u202f: «\u00a03.14, U.S.A.\u00a0!\u00a0»")
    'il dit : « 3.14 , u.s.a. ! »'
    """
    # composition last: an invisible character may stand between a letter and its accent
    text = unicodedata.normalize("NFC", text.translate(_CHARACTERS).lower())
    return _MARK.sub(lambda match: f" {match[1]}" if match[1] else match[0], text)


def rejoin(text: str) -> str:
    """Remove the spaces that `preprocess` puts before `,.!?`; text stays lower-case.

    A space that was there before preprocessing (`va ?`) is removed too. Preprocessing the
    result gives the same words.

    >>> rejoin("salut , ça va ?")
    'salut, ça va?'
    """
    return _SPACE_BEFORE_MARK.sub("", text)


def letters_only(text: str) -> str:
    """Keep a to z in lower case; any run of other characters becomes one space, none at the ends.

    The chapter preprocesses The Time Machine this way (d2l.ai, 'Converting Raw Text into Sequence
    Data').

    >>> letters_only("It's 12 o'clock, he said--")
    'it s o clock he said'
    """
    return _OTHERS.sub(" ", text).strip().lower()


_OTHERS = re.compile("[^A-Za-z]+")
