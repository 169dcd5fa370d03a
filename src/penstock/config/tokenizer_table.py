"""The tokenizers that `text.*.kind` may name.

What a tokenizer does is one `penstock.text.tokenizer_types.TokenizerType`, the value `TOKENIZER` of
the module named here.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.errors import look_up


@dataclass(frozen=True, slots=True)
class TokenizerEntry:
    """One line of the table.

    Attributes:
        module: defines `TOKENIZER`; imported when a tokenizer is trained or read.
        joiner: text between tokens; None: the key `separator`.
        pieces: whether a token may be part of a word, so that a blank of a cloze is no token.
        error_rates: which of `wer`, `per` and `cer` translations into such tokens are given.
    """

    module: str
    joiner: str | None = ""
    pieces: bool = False
    error_rates: tuple[str, ...] = ("wer",)


_TYPES = "penstock.text.tokenizer_types"
TOKENIZERS: dict[str, TokenizerEntry] = {
    "word": TokenizerEntry(f"{_TYPES}.word", joiner=" "),
    "char": TokenizerEntry(f"{_TYPES}.char", error_rates=("wer", "cer")),
    # phones separated by spaces are not words
    "separator": TokenizerEntry(f"{_TYPES}.separator", joiner=None, error_rates=("per",)),
    "bpe": TokenizerEntry(f"{_TYPES}.bpe", pieces=True),
    "unigram": TokenizerEntry(f"{_TYPES}.unigram", pieces=True),
}


def tokenizer_entry(name: str) -> TokenizerEntry:
    """Look up a tokenizer by the name of its kind.

    Raises:
        ValueError: there is no such tokenizer.
    """
    return look_up(TOKENIZERS, "tokenizer kind", name)
