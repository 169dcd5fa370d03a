"""Hostile content: text files, and mutations of what is there."""

from __future__ import annotations

import gzip
import lzma
import zipfile
from collections.abc import Callable, Sequence
from io import BytesIO
from random import Random

_PIECES = (
    "A dog sees it.", "", " ", "\t", "\n", "\r\n", "\r", "\0", "\ufeff", "\u202e", "\u2028", "\x85",
    "\v", "\f", "\x1b[2J", "a" * 5000, "é" * 300, "e\u0301" * 40, "👩‍👩‍👧", "日本語", "שלום", "___",
    "<unk>", "<s>", "</s>", '"', '""', "{", "}", "[", "null", '{"source": "a", "targets": ["b"]}',
    '{"source": 1}', "=1+1", "1e999", "nan", "-1", "9" * 400, "\\u0000", "\U0010ffff", ",", ";",
    "source\ttarget", "a\tb\tc\td",
)  # fmt: skip


def text(random: Random) -> bytes:
    """A text that no reader expects, sometimes compressed or not UTF-8."""
    kind = random.random()
    if kind < 0.1:
        return random.randbytes(random.choice((0, 1, 2, 100, 5000)))
    if kind < 0.15:
        return b"[" * random.choice((10, 100_000)) + b"\n"
    separators = random.choice(("\n", "\t", "\r\n", "", ","))
    rows = [
        random.choice(("\t", ",", " ", "")).join(random.choices(_PIECES, k=random.randint(1, 4)))
        for _ in range(random.choice((1, 3, 40)))
    ]
    content = separators.join(rows).encode("utf-8", "surrogatepass")
    return mutated(content, random) if random.random() < 0.3 else content


_PACKERS: Sequence[Callable[[bytes], bytes]] = (gzip.compress, lzma.compress)


def packed(content: bytes, suffix: str, random: Random) -> bytes:
    """Content for a file with that suffix: packed, often damaged, sometimes a bomb."""
    if suffix not in (".gz", ".xz"):
        return content
    if random.random() < 0.1:
        content = bytes(40 * 2**20)  # a small file of one line without end
    data = _PACKERS[suffix == ".xz"](content)
    return mutated(data, random) if random.random() < 0.5 else data


def archive(random: Random) -> bytes:
    """A zip file with a member that leads out of it."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        out.writestr(random.choice(("../evil", "/evil", "a", "a/../../b")), text(random))
    return buffer.getvalue()


def mutated(content: bytes, random: Random) -> bytes:
    """Content with a few bytes flipped, cut, repeated or put in."""
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 5))):
        if not data:
            break
        at = random.randrange(len(data))
        match random.randrange(5):
            case 0:
                data[at] ^= 1 << random.randrange(8)
            case 1:
                del data[at:]
            case 2:
                del data[at : at + random.choice((1, 4, 100))]
            case 3:
                data[at:at] = random.randbytes(random.choice((1, 8)))
            case _:
                data[at : at + 8] = data[at // 2 : at // 2 + 8]
    return bytes(data)
