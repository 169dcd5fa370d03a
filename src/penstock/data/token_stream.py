"""A text as one stream of tokens: divided by position, tokenized once, memory-mapped.

A language model reads running text, not examples. Lines end with EOS, so that the text can be
restored; lines of prose that were broken to fit a page can be joined by spaces instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from penstock.data.formats.corpus_files import Names, read_text
from penstock.data.sealed_file import Report, break_seal, cached, seal
from penstock.errors import DataError
from penstock.files import replacing
from penstock.special_tokens import EOS_ID, UNK_ID
from penstock.text import Tokenizer, letters_only

_BLOCK_LINES = 8192


@dataclass(frozen=True, slots=True)
class TextForm:
    """How the lines of a file become text.

    Attributes:
        letters: only a to z (see `letters_only`); blank lines are dropped.
        joined: line ends become spaces; blank lines are dropped.
    """

    letters: bool = False
    joined: bool = False

    def lines(self, texts: Iterable[str]) -> Iterator[str]:
        """The lines in this form."""
        for text in texts:
            line = letters_only(text) if self.letters else text
            if line.strip() or not (self.letters or self.joined):
                yield line

    def encode(self, lines: Iterable[str], tokenizer: Tokenizer) -> Iterator[list[int]]:
        """The ids of each line, ending with EOS or beginning with the joining space."""
        remaining = iter(lines)
        first = True
        while block := list(islice(remaining, _BLOCK_LINES)):
            if self.joined and tokenizer.keeps_spaces:  # implied for other kinds
                block = [line if first and i == 0 else f" {line}" for i, line in enumerate(block)]
            first = False
            for ids in tokenizer.encode_batch(block):
                yield ids if self.joined else [*ids, EOS_ID]

    def encode_prefix(self, text: str, tokenizer: Tokenizer) -> list[int]:
        """The ids of a text whose last line continues.

        White space at its end is kept if the tokenizer has a token for it.
        """
        *ended, last = text.split("\n")
        ended = list(self.lines(ended))
        if self.letters and last:
            ends_in_letter = letters_only(last[-1]) != ""
            last = letters_only(last)
            last = last if ends_in_letter or not last else f"{last} "
        if self.joined:
            joiner = tokenizer.symbol_separator or " "
            last, ended = joiner.join([*ended, last]), []
        last = last.removesuffix(tokenizer.symbol_separator or "")
        return [i for row in self.encode(ended, tokenizer) for i in row] + tokenizer.encode(last)

    def decode(self, ids: list[int], tokenizer: Tokenizer) -> str:
        """Decode ids; EOS becomes a line end."""
        lines: list[list[int]] = [[]]
        for token in ids:
            if token == EOS_ID:
                lines.append([])
            else:
                lines[-1].append(token)
        return "\n".join(tokenizer.decode(line) for line in lines)


def read_form(names: Names, form: TextForm) -> Iterator[str]:
    """The lines of a text in this form, one at a time (see `read_text` for errors)."""
    return form.lines(line.text for line in read_text(names))


def characters(lines: Iterable[str]) -> int:
    """The number of characters of the lines, line ends included."""
    return sum(len(line) + 1 for line in lines)


def between(lines: Iterable[str], begin: int, end: int | None = None) -> Iterator[str]:
    """The characters `begin` to `end` of the lines, as lines, without a leading line end alone."""
    position = 0
    for line in lines:
        first, last = position, position + len(line) + 1
        position = last
        if end is not None and first >= end:
            return
        if last <= begin:
            continue
        part = line[max(begin - first, 0) : None if end is None else max(end - first, 0)]
        if part or first >= begin:
            yield part


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """Size of a stream, and how many of its tokens are unknown."""

    tokens: int = 0
    characters: int = 0
    unknown: int = 0


class TokenStream:
    """Read access to a tokenized text, (N,) ids; the first is EOS, as if a line ended before.

    Attributes:
        counts: of the tokens after the first.
    """

    def __init__(self, path: Path, counts: StreamCounts) -> None:
        self.path = path
        self.counts = counts

    def __len__(self) -> int:
        return self.counts.tokens + 1

    def ids(self) -> np.ndarray:
        """The ids, (N,) int32, memory-mapped."""
        return np.memmap(self.path, dtype="<i4", mode="r")


def write_stream(
    path: str | Path, lines: Iterable[str], tokenizer: Tokenizer, form: TextForm
) -> TokenStream:
    """Tokenize lines and write them to `path`, streaming.

    Raises:
        DataError: there are no tokens.
    """
    path = Path(path)
    counts = {"tokens": 0, "characters": 0, "unknown": 0}

    def counted() -> Iterator[str]:
        for line in lines:
            counts["characters"] += len(line) + 1
            yield line

    with replacing(path) as partial:
        with partial.open("wb") as file:
            file.write(np.array([EOS_ID], dtype="<i4").tobytes())
            encoded = form.encode(counted(), tokenizer)
            while block := list(islice(encoded, _BLOCK_LINES)):
                ids = np.fromiter((i for row in block for i in row), dtype="<i4")
                counts["tokens"] += len(ids)
                counts["unknown"] += int((ids == UNK_ID).sum())
                file.write(ids.tobytes())
        if not counts["tokens"]:
            raise DataError("no text: every line is blank; give a file with text")
        break_seal(path)
    seal(path, counts)
    return TokenStream(path, StreamCounts(**counts))


def open_stream(path: str | Path, report: Report) -> TokenStream | None:
    """The stream at `path`; None if there is no whole one, and damage is reported."""
    counts = cached(Path(path), report)
    return None if counts is None else TokenStream(Path(path), StreamCounts(**counts))
