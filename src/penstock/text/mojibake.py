"""Text that was encoded as UTF-8 and decoded as Windows-1252 or Latin-1: `Ã©` for `é`."""

from __future__ import annotations

import re

_HIGH = bytes(range(0x80, 0x100))
# Windows-1252 leaves five bytes undefined; there, decoders fall back to Latin-1
_CHARACTERS = [bytes([b]).decode("cp1252", "ignore") or chr(b) for b in _HIGH]
_BYTES = str.maketrans({character: chr(b) for b, character in zip(_HIGH, _CHARACTERS, strict=True)})
_FOLLOWING = "".join(dict.fromkeys([*_CHARACTERS[:0x40], *map(chr, range(0x80, 0xC0))]))
# what stands behind a capital letter or an `à` in sound text too, as in `CAFÉ»`
_SOUND = "\xa0«»“”‘’–—…"
_TELLING = "".join(c for c in _FOLLOWING if c not in _SOUND)

_PATTERN = re.compile(
    f"[ÂÃ][{_TELLING}]"
    f"|(?<![A-ZÀ-Þ])[ÂÃ][{_FOLLOWING}]"
    f"|â[€\x80][{_FOLLOWING}]"
    f"|ð[{_FOLLOWING}]{{3}}"
    "|ï»¿"
    f"|(?:[Â-ß][{_FOLLOWING}]){{2,}}"
    f"|(?:[à-ï][{_FOLLOWING}]{{2}}){{2,}}"
)


def find_mojibake(text: str) -> tuple[str, str] | None:
    """The first run of characters that are the bytes of UTF-8, and what they stand for.

    A run that sound text may have, a single `É»`, is not found.
    """
    if text.isascii():
        return None
    for found in _PATTERN.finditer(text):
        try:
            return found[0], found[0].translate(_BYTES).encode("latin-1").decode("utf-8")
        except UnicodeDecodeError:
            continue
    return None
