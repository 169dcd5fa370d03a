"""What all tokenizers agree on: pre-tokenization, the byte alphabet, sound text."""

from __future__ import annotations

import os
from typing import Literal

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from penstock.config import TokenizerKind
from penstock.errors import DataError

AnyKind = (
    TokenizerKind | Literal["pretrained"]
)  # what a tokenizer may be, what one may be learnt as
BYTE_LEVEL = ("bpe", "unigram")  # the kinds whose tokens are runs of bytes

# A word with the space before it, up to and with an elision's apostrophe (` l'`, `homme`); each
# digit alone; a run of anything else that is not space; a run of space but for its last, which
# belongs to the next word. Every character falls in exactly one piece. Saved tokenizers rely on it:
# a change needs a new format number in `stored.py`, and this one kept for the old format.
PIECE_PATTERN = (
    r" ?\p{L}[\p{L}\p{M}]*(?:['’](?=\p{L}))?"
    r"| ?\p{N}"
    r"| ?[^\s\p{L}\p{N}]+"
    r"|\s+(?!\S)|\s+"
)


def byte_alphabet() -> list[str]:
    """The printable character that byte-level models write for each byte 0..255 (as GPT-2)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    symbols = {byte: chr(byte) for byte in printable}
    others = (byte for byte in range(256) if byte not in symbols)
    symbols.update({byte: chr(0x100 + i) for i, byte in enumerate(others)})
    return [symbols[byte] for byte in range(256)]


def on_bytes(model: models.Model) -> Tokenizer:
    """A library tokenizer that cuts text by `PIECE_PATTERN` and works on bytes."""
    library = Tokenizer(model)
    library.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [
            pre_tokenizers.Split(Regex(PIECE_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    library.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    return library


def require_characters(text: str) -> str:
    """Return `text` if it can be written as UTF-8.

    Raises:
        DataError: a lone surrogate, which is half a character.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"text has a lone surrogate U+{ord(text[error.start]):04X} at character "
            f"{error.start + 1}, which is half a character; decode the input as UTF-8"
        ) from None
    return text


_PARALLELISM = "TOKENIZERS_PARALLELISM"


def _quieten_forks() -> None:
    """Let forked children (data workers) tokenize on one thread, without the library's warning.

    The library's thread pool does not survive a fork. It says so on stderr unless its variable
    is set, and setting it for good would slow the parent; so it is set only around the fork.
    A value set by the user stands.
    """
    if not hasattr(os, "register_at_fork"):
        return
    added = False

    def before() -> None:
        nonlocal added
        added = _PARALLELISM not in os.environ
        if added:
            os.environ[_PARALLELISM] = "false"

    def after_in_parent() -> None:
        if added:
            os.environ.pop(_PARALLELISM, None)

    os.register_at_fork(before=before, after_in_parent=after_in_parent)


_quieten_forks()
