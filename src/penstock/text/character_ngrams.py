"""How surprising a line's characters are: a character n-gram model of a text.

Probabilities are Dirichlet-smoothed (MacKay and Peto, 'A hierarchical Dirichlet language model',
1995, https://doi.org/10.1017/S1351324900000218). Runs of characters are counted by hash, in tables
of a byte per count.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from bz2 import BZ2Decompressor, compress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Integers = NDArray[np.int64]
Codes = NDArray[np.uint64]

ORDER = 4  # characters of the longest run
BLOCK = 5000  # lines that are counted or measured together
_PRIOR = 4.0  # weight of the shorter run's prediction, in occurrences
_MOST_BITS = 15.0  # surprisal of one character: one odd one does not condemn a line
_STEPS = 4  # of a stored count, per doubling
_SMALLEST, _LARGEST, _COUNTED = 14, 19, 20  # table sizes as powers of 2
_ROOM = 8  # places of a table for each different run: few unseen runs then look seen
_COUNTS: Numbers = 2.0 ** (np.arange(256) / _STEPS) - 1.0
_PAD = ord("\n")  # lines have none


@final
@dataclass(frozen=True, eq=False)
class CharacterCounts:
    """Exact counts of a text's characters and hashed ones of longer runs.

    Attributes:
        characters: occurrences by code point.
        tables: (ORDER - 1, 2^b) occurrences of runs of 2 to `ORDER` characters, by hash.
    """

    characters: dict[int, int]
    tables: Integers

    @classmethod
    def of(cls, lines: Sequence[str]) -> Self:
        """Count the characters of lines."""
        characters: dict[int, int] = {}
        tables = np.zeros((ORDER - 1, 1 << _COUNTED), np.int64)
        for start in range(0, len(lines), BLOCK):
            codes = _codes(lines[start : start + BLOCK])
            found, occurrences = np.unique(codes[codes != _PAD], return_counts=True)
            for code, count in zip(found.tolist(), occurrences.tolist(), strict=True):
                characters[code] = characters.get(code, 0) + count
            for order, table in enumerate(tables, start=2):
                places = _places(codes, order, _COUNTED)
                table += np.bincount(places, minlength=1 << _COUNTED)
        return cls(characters, tables)

    def without(self, other: CharacterCounts) -> CharacterCounts:
        """The counts less those of a part of the text."""
        own = {c: n - other.characters.get(c, 0) for c, n in self.characters.items()}
        return CharacterCounts(own, self.tables - other.tables)


@final
@dataclass(frozen=True, eq=False)
class CharacterNgrams:
    """A character n-gram model.

    Attributes:
        characters: those that the text has often enough, as sorted code points.
        counts: their occurrences.
        tables: as in `CharacterCounts`, as logarithms: `_COUNTS` of them are the counts.
    """

    characters: Codes
    counts: Numbers
    tables: NDArray[np.uint8]

    @classmethod
    def of(cls, counted: CharacterCounts, *, fewest: int) -> Self:
        """The model of a text; characters with fewer occurrences than `fewest` are unknown."""
        known = sorted(c for c, n in counted.characters.items() if n >= fewest)
        distinct = int((counted.tables > 0).sum(1).max())
        bits = min(max((_ROOM * distinct).bit_length(), _SMALLEST), _LARGEST)
        folded: Integers = counted.tables.reshape(ORDER - 1, -1, 1 << bits).sum(1)
        return cls(
            np.array(known, np.uint64),
            np.array([counted.characters[code] for code in known], np.float64),
            np.round(_STEPS * np.log2(1.0 + folded)).astype(np.uint8),
        )

    def measure(self, lines: Sequence[str]) -> tuple[Numbers, Numbers, Numbers]:
        """Of each line the characters, those of them that are unknown, and the bits of all.

        The bits are the surprisal, -log2 of the probability of each character given the three
        before it.
        """
        found = [self._measure(lines[i : i + BLOCK]) for i in range(0, len(lines), BLOCK)]
        if not found:
            return np.zeros(0), np.zeros(0), np.zeros(0)
        lengths, unknown, bits = (np.concatenate(each) for each in zip(*found, strict=True))
        return lengths, unknown, bits

    def _measure(self, lines: Sequence[str]) -> tuple[Numbers, Numbers, Numbers]:
        codes = _codes(lines)
        seen = np.zeros(len(codes))
        if len(self.characters):
            place = np.minimum(np.searchsorted(self.characters, codes), len(self.characters) - 1)
            seen = np.where(self.characters[place] == codes, self.counts[place], 0.0)
        total = self.counts.sum()
        share = (seen + _PRIOR / 1000) / (total + _PRIOR)
        shorter = np.where(codes == _PAD, total, seen)
        for order, table in enumerate(self.tables, start=2):
            longer = _COUNTS[table[_places(codes, order, len(table).bit_length() - 1)]]
            # a context is as frequent as what follows it, at least
            context = np.maximum(np.concatenate([[0.0], shorter[:-1]]), longer)
            share = (longer + _PRIOR * share) / (context + _PRIOR)
            shorter = longer
        real = codes != _PAD
        lengths = np.array([len(line) for line in lines])
        line = np.repeat(np.arange(len(lines)), lengths)
        bits = np.minimum(-np.log2(share[real]), _MOST_BITS)
        unknown = (seen[real] == 0).astype(np.float64)
        return (
            lengths.astype(np.float64),
            np.bincount(line, unknown, len(lines)).astype(np.float64),
            np.bincount(line, bits, len(lines)).astype(np.float64),
        )

    def to_json(self) -> dict[str, Any]:
        """Serialize to values for JSON."""
        return {
            "characters": "".join(map(chr, self.characters.tolist())),
            "counts": self.counts.astype(np.int64).tolist(),
            "bits": self.tables.shape[1].bit_length() - 1,
            "tables": b64encode(compress(self.tables.tobytes())).decode(),
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Deserialize the result of `to_json`.

        Raises:
            KeyError, TypeError, ValueError, OSError: damaged.
        """
        bits = value["bits"]
        if type(bits) is not int or not _SMALLEST <= bits <= _LARGEST:
            raise ValueError(f"bits = {json.dumps(bits)}")
        size = (ORDER - 1) << bits
        unpacked = BZ2Decompressor().decompress(b64decode(value["tables"]), size + 1)
        tables = np.frombuffer(unpacked, np.uint8).reshape(ORDER - 1, 1 << bits)
        characters = np.array([ord(character) for character in value["characters"]], np.uint64)
        counts = np.array(value["counts"], np.float64)
        increasing = (characters[1:] > characters[:-1]).all()
        if characters.shape != counts.shape or not increasing or not (counts > 0).all():
            raise ValueError("characters")
        return cls(characters, counts, tables)


def _codes(lines: Sequence[str]) -> Codes:
    """The code points of lines, parted by so much padding that no run spans two of them."""
    pad = chr(_PAD) * (ORDER - 1)
    text = f"{pad}{pad.join(line.replace(chr(_PAD), ' ') for line in lines)}{pad}"
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)


def _places(codes: Codes, order: int, bits: int) -> Integers:
    """Of the run of `order` characters that ends at each position, its place in a table."""
    mixed = np.zeros_like(codes)
    for back in range(order):
        factor = np.uint64(pow(0x9E3779B97F4A7C15, back + 1, 1 << 64))
        mixed[back:] += (codes[: len(codes) - back] + np.uint64(1)) * factor
    # the finalizer of splitmix64
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return (mixed & np.uint64((1 << bits) - 1)).astype(np.int64)
