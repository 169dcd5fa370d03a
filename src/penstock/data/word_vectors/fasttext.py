"""fastText's binary model: vectors of words and of their character n-grams.

Bojanowski et al. 2017 (https://arxiv.org/abs/1607.04606). A word's vector is the mean of its own
row, if the model has one, and the rows of the n-grams of `<word>`, which are hashed into `bucket`
rows. So unseen words have vectors too.

The file, little-endian, in this order: the magic number and the version; twelve int32 and a double
of settings; the dictionary's three int32 (entries, words, labels) and two int64; the entries, each
a NUL-terminated text, an int64 and a byte; one byte, nonzero if the matrix is quantized; the
matrix's two int64 (rows, columns) and its float32 by rows. The rest is not needed.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penstock.data.formats.input_lines import reading
from penstock.data.word_vectors.byte_reader import ByteReader
from penstock.data.word_vectors.vector_formats import (
    FoundVectors,
    require_finite,
    require_size,
)
from penstock.errors import DataError

_VERSIONS = (11, 12)
_SUPERVISED = 3
_LABEL = 1
_SETTINGS = struct.Struct("<12i d")
_DICTIONARY = struct.Struct("<3i 2q")
_MATRIX = struct.Struct("<2q")
_BLOCK_ROWS_BYTES = 2**22
_END_OF_LINE = "</s>"  # the one word without n-grams


def read_fasttext(
    path: str | Path, wanted: Collection[str], composable: Collection[str], size: int
) -> FoundVectors:
    """Read a fastText model (`.bin`).

    Args:
        path: the file.
        wanted: the words whose vectors to keep.
        composable: those of them that get a vector from n-grams if the model lacks them.
        size: dimension of the vectors.

    Raises:
        DataError: another dimension, a quantized or damaged model.
    """
    found = FoundVectors()
    with reading(path) as stream:
        source = ByteReader(stream, path)
        shape = _settings(source, path, size)
        known, words = _dictionary(source, path, wanted, found)
        if source.exactly(1, "the matrix") != b"\0":
            raise _quantised(path)
        rows, columns = _MATRIX.unpack(source.exactly(_MATRIX.size, "the matrix's size"))
        if columns != size or rows != words + shape.bucket:
            raise _damaged(
                f"its matrix is {rows} × {columns}, expected {words + shape.bucket} × {size}", path
            )
        unknown = [word for word in sorted(composable) if word not in known and word]
        parts = {word: [row, *shape.ngram_rows(word, words)] for word, row in known.items()}
        parts |= {word: shape.ngram_rows(word, words) for word in unknown}
        parts = {word: own for word, own in parts.items() if own}
        sums = _sum_rows(source, parts, rows, size)
    for (word, own), total in zip(parts.items(), sums, strict=True):
        into = found.vectors if word in known else found.composed
        into[word] = require_finite(total / len(own), word, path=path)
    return found


class _Shape:
    """The settings that n-grams depend on."""

    def __init__(self, bucket: int, shortest: int, longest: int) -> None:
        self.bucket = bucket
        self.shortest = shortest
        self.longest = longest if bucket else 0

    def ngram_rows(self, word: str, words: int) -> list[int]:
        """The matrix rows of a word's n-grams, with repetitions."""
        if word == _END_OF_LINE:
            return []
        marked = [character.encode() for character in f"<{word}>"]
        rows: list[int] = []
        for start in range(len(marked)):
            longest = min(self.longest, len(marked) - start)
            for length in range(max(self.shortest, 1), longest + 1):
                at_an_end = start == 0 or start + length == len(marked)
                if not (length == 1 and at_an_end):  # `<` or `>` alone is not an n-gram
                    ngram = b"".join(marked[start : start + length])
                    rows.append(words + _hash(ngram) % self.bucket)
        return rows


def _hash(ngram: bytes) -> int:
    """32-bit FNV-1a as fastText computes it: each byte is taken as signed."""
    value = 2166136261
    for byte in ngram:
        value ^= byte if byte < 128 else byte | 0xFFFFFF00
        value = value * 16777619 & 0xFFFFFFFF
    return value


def _settings(source: ByteReader, path: str | Path, size: int) -> _Shape:
    _, version = struct.unpack("<2i", source.exactly(8, "the version"))
    if version not in _VERSIONS:
        known = " and ".join(map(str, _VERSIONS))
        raise DataError(
            f"a fastText model of version {version}; versions {known} are read. Save its vectors "
            "as text (.vec) and use those",
            path=path,
        )
    settings = _SETTINGS.unpack(source.exactly(_SETTINGS.size, "the settings"))
    width, model, bucket, shortest, longest = (settings[i] for i in (0, 7, 8, 9, 10))
    if width < 1 or bucket < 0:
        raise _damaged(f"it has vectors of {width} numbers and {bucket} buckets", path)
    require_size(width, size, path)
    if version == 11 and model == _SUPERVISED:
        longest = 0  # classifiers of that version were trained without n-grams
    return _Shape(bucket, shortest, longest)


def _dictionary(
    source: ByteReader, path: str | Path, wanted: Collection[str], found: FoundVectors
) -> tuple[dict[str, int], int]:
    """The rows of wanted words, and the number of all words."""
    entries, words, labels, _, pruned = _DICTIONARY.unpack(
        source.exactly(_DICTIONARY.size, "the dictionary's size")
    )
    if not 0 <= words <= entries or labels != entries - words:
        raise _damaged(
            f"its dictionary has {entries} entries, {words} words, {labels} labels", path
        )
    if pruned > 0:
        raise _quantised(path)
    known: dict[str, int] = {}
    for row in range(entries):
        what = f"entry {row + 1:,} of the dictionary's {entries:,}"
        raw = source.until(b"\0", what)
        if source.exactly(9, what)[8] == _LABEL:
            continue
        try:
            word = raw.decode("utf-8")
        except UnicodeDecodeError:
            found.unreadable += 1
            continue
        if word in known:
            found.duplicates += 1
        elif word in wanted:
            known[word] = row
    return known, words


def _sum_rows(
    source: ByteReader, parts: dict[str, list[int]], rows: int, size: int
) -> NDArray[np.float64]:
    """For each word the sum of its rows, in one pass over the matrix."""
    needed = [(row, i) for i, own in enumerate(parts.values()) for row in own]
    needed.sort()
    row_of = np.array([row for row, _ in needed], np.int64)
    word_of = np.array([word for _, word in needed], np.int64)
    sums = np.zeros((len(parts), size))
    step = max(_BLOCK_ROWS_BYTES // (4 * size), 1)
    last = int(row_of[-1]) if len(row_of) else -1
    for start in range(0, last + 1, step):  # no row after the last needed one is read
        count = min(step, rows - start)
        what = f"rows {start + 1:,} to {start + count:,} of the matrix's {rows:,}"
        block = np.frombuffer(source.exactly(4 * size * count, what), "<f4").reshape(count, size)
        here = slice(*np.searchsorted(row_of, [start, start + count]))
        np.add.at(sums, word_of[here], block[row_of[here] - start])
    return sums


def _damaged(what: str, path: str | Path) -> DataError:
    return DataError(f"a damaged fastText model: {what}; fetch or make it again", path=path)


def _quantised(path: str | Path) -> DataError:
    return DataError(
        "a quantised fastText model, which keeps no vectors: use the .bin that it was made from, "
        "or a .vec",
        path=path,
    )
