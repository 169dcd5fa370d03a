"""Files of word vectors, read as streams: only the wanted words' vectors are kept.

| format | a word's entry | first line |
|---|---|---|
| word2vec text, fastText `.vec` | the word, a space, its numbers, on one line | `count size` |
| GloVe | the same; a token may hold spaces | an entry |
| word2vec binary | the word, a space, its numbers as little-endian float32 | `count size` |
| fastText model | see `fasttext.py` | magic number 793712314 |

The format is detected by the first bytes, not by the name. The number of fields is checked on every
line; the numbers themselves only for wanted words, since parsing two million vectors to keep eight
thousand would take minutes.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from penstock.data.formats.input_lines import BadLineError, Line, reading, scan_lines
from penstock.data.word_vectors.byte_reader import ByteReader
from penstock.errors import DataError

Format = Literal["text", "word2vec", "fasttext"]
Vector = NDArray[np.float32]

FASTTEXT_MAGIC = (793712314).to_bytes(4, "little")

_HEAD_BYTES = 2**16
_HEADER = re.compile(rb"[ \t]*(\d{1,18})[ \t]+(\d{1,18})[ \t]*\r?")
_NUMERIC = frozenset(b"0123456789+-.eE \t\r")
_EXPECTED = (
    "expected 'count size' or a word and its numbers (word2vec, fastText or GloVe, as text or "
    "binary)"
)
_NOT_VECTORS = {
    b"\x93NUMPY": "a NumPy array: it has no words",
    b"PK\x03\x04": "a zip archive; unpack it first",
    b"\x1f\x8b": "gzip data; unpack it, or give the file the suffix .gz",
    b"\xfd7zXZ": "xz data; unpack it, or give the file the suffix .xz",
    b"\x28\xb5\x2f\xfd": "zstandard data; unpack it, or give the file the suffix .zst",
    **{
        bytes([0x80, protocol]): "a pickle, which is never read: it can run any code; in gensim, "
        "save the vectors by save_word2vec_format"
        for protocol in range(2, 6)
    },
}


@dataclass
class FoundVectors:
    """The result of reading a file.

    Attributes:
        vectors: of wanted words; the first of several for one word.
        composed: of wanted words that are not in the file, from their character n-grams.
        duplicates: repeated entries of wanted words.
        unreadable: entries whose word is not UTF-8.
    """

    vectors: dict[str, Vector] = field(default_factory=dict[str, Vector])
    composed: dict[str, Vector] = field(default_factory=dict[str, Vector])
    duplicates: int = 0
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class FileHead:
    """The detected format, and the numbers of the header if there is one."""

    format: Format
    count: int | None = None
    size: int | None = None


def sniff(path: str | Path) -> FileHead:
    """Detect the format by the content.

    Raises:
        DataError: the file cannot be read, or cannot be one of word vectors.
    """
    with reading(path) as stream:
        head = stream.read(_HEAD_BYTES)
    if head.startswith(FASTTEXT_MAGIC):
        return FileHead("fasttext")
    for start, what in _NOT_VECTORS.items():
        if head.startswith(start):
            raise DataError(f"this is {what}", path=path)
    first, newline, rest = head.partition(b"\n")
    header = _HEADER.fullmatch(first) if newline else None
    if header is None:
        return FileHead("text")
    count, size = int(header[1]), int(header[2])
    if not count or not size:
        raise DataError(
            f"the header says {count} words of {size} numbers: nothing to read; {_EXPECTED}",
            path=path,
            line=1,
        )
    return FileHead("text" if _is_text(rest) else "word2vec", count, size)


def _is_text(entries: bytes) -> bool:
    """Whether the data after a header is text."""
    numbers = entries.partition(b" ")[2].partition(b"\n")[0]
    if numbers and _NUMERIC.issuperset(numbers):
        return True
    sample = entries[:1024]
    if any(byte < 0x20 and byte not in b"\t\n\r" for byte in sample):
        return False
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(sample) - 4  # a character cut by the sample's end
    return True


def require_size(found: int, size: int, path: str | Path, line: int | None = None) -> None:
    """Check that vectors have the model's dimension.

    Raises:
        DataError: they do not.
    """
    if found != size:
        raise DataError(
            f"vectors of {found} numbers, but model.embedding_size is {size}; set "
            f"model.embedding_size = {found}",
            path=path,
            line=line,
        )


# --- text ---------------------------------------------------------------------------------------


def read_text(path: str | Path, head: FileHead, wanted: Collection[str], size: int) -> FoundVectors:
    """Read word2vec text, fastText `.vec` or GloVe.

    Args:
        path: the file.
        head: what `sniff` found.
        wanted: the words whose vectors to keep.
        size: dimension of the vectors.

    Raises:
        DataError: another dimension, a malformed line, a wrong header.
    """
    found = FoundVectors()
    entries = 0
    for line in scan_lines(path):
        if not entries and head.size is None:
            line = _first_entry(line, size, path)
        elif isinstance(line, Line) and line.number == 1:
            require_size(head.size or 0, size, path, line=1)
            continue
        entries += 1
        if isinstance(line, BadLineError):
            found.unreadable += 1
            continue
        word, numbers = _entry(line, size, path)
        if word not in wanted:
            continue
        if word in found.vectors:
            found.duplicates += 1
        else:
            found.vectors[word] = _numbers(numbers, word, line.number, path)
    if head.count is not None and entries != head.count:
        raise _wrong_count(head.count, entries, path)
    if not entries:
        raise DataError(f"the file is empty; {_EXPECTED}", path=path)
    return found


def _first_entry(line: Line | BadLineError, size: int, path: str | Path) -> Line:
    """Without a header, the first line determines the format and the dimension."""
    if isinstance(line, BadLineError):
        raise DataError(f"not a file of word vectors; {_EXPECTED}", path=path, line=1)
    fields = line.text.split()
    width = 0
    while width < len(fields) - 1 and _is_number(fields[-1 - width]):
        width += 1
    if not width:
        shown = line.text[:40] + ("…" if len(line.text) > 40 else "")
        raise DataError(
            f"not a file of word vectors: found {shown!r}; {_EXPECTED}", path=path, line=1
        )
    require_size(width, size, path, line=1)
    return line


def _entry(line: Line, size: int, path: str | Path) -> tuple[str, str]:
    """The word and its numbers, still as text."""
    text = line.text.rstrip(" \t\r")
    if "\t" in text:
        text = text.replace("\t", " ")
    if text.count(" ") == size:
        word, _, numbers = text.partition(" ")
        return word, numbers
    fields = [part for part in text.split(" ") if part]
    # GloVe has tokens with spaces; one number too many is an error
    if len(fields) <= size or (len(fields) > size + 1 and _is_number(fields[-1 - size])):
        raise DataError(
            f"expected a word and {size} numbers, found {max(len(fields) - 1, 0)}; the file is "
            "damaged: fetch or make it again, or correct this line",
            path=path,
            line=line.number,
        )
    return " ".join(fields[:-size]), " ".join(fields[-size:])


def _numbers(text: str, word: str, line: int, path: str | Path) -> Vector:
    fields = text.split(" ")
    for part in fields:
        if not _is_number(part):
            raise DataError(
                f"{part!r} in the vector of {word!r} is not a number; fetch or make the file "
                "again, or correct this line",
                path=path,
                line=line,
            )
    return require_finite(np.array([float(part) for part in fields]), word, path=path, line=line)


def _is_number(text: str) -> bool:
    """Whether a field is a number; Python's `1_0` and digits of other scripts are not."""
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and "_" not in text


def require_finite(
    values: NDArray[np.floating], word: str, *, path: str | Path, line: int | None = None
) -> Vector:
    """The values as float32.

    Raises:
        DataError: one is NaN or infinite, or too large for float32.
    """
    with np.errstate(over="ignore"):
        vector = values.astype(np.float32)
    bad = ~np.isfinite(vector)
    if bad.any():
        place = int(bad.argmax())
        raise DataError(
            f"the vector of {word!r} has {values[place]} as its number {place + 1}; remove the "
            "word from the file, or make the file again",
            path=path,
            line=line,
        )
    return vector


def _wrong_count(said: int, found: int, path: str | Path) -> DataError:
    what = "the file is cut short" if found < said else "more follow"
    return DataError(
        f"the header says {said:,} words, found {found:,}: {what}; fetch or make the file again, "
        "or correct its first line",
        path=path,
    )


# --- binary -------------------------------------------------------------------------------------


def read_word2vec(
    path: str | Path, head: FileHead, wanted: Collection[str], size: int
) -> FoundVectors:
    """Read word2vec's binary format; arguments and errors as for `read_text`."""
    assert head.count is not None
    assert head.size is not None
    require_size(head.size, size, path, line=1)
    found = FoundVectors()
    with reading(path) as stream:
        source = ByteReader(stream, path)
        source.until(b"\n", "the header")
        for number in range(1, head.count + 1):
            what = f"word {number:,} of {head.count:,}"
            # word2vec ends an entry by a newline, gensim does not
            raw = source.until(b" ", what).lstrip(b"\n")
            content = source.exactly(4 * size, what)
            try:
                word = raw.decode("utf-8")
            except UnicodeDecodeError:
                found.unreadable += 1
                continue
            if word not in wanted:
                continue
            if word in found.vectors:
                found.duplicates += 1
            else:
                values = np.frombuffer(content, "<f4")
                found.vectors[word] = require_finite(values, word, path=path)
        if source.rest(2).strip(b"\r\n"):
            raise DataError(
                f"the header says {head.count:,} words, more follow; correct its first line, or "
                "fetch or make the file again",
                path=path,
            )
    return found
