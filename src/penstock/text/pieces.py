"""Shared by all tokenizers: pre-tokenization, the byte alphabet, the check for valid text."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from penstock.config import TokenizerConfig
from penstock.errors import ConfigError, DataError
from penstock.special_tokens import RESERVED

NO_TEXT = "no training text for the tokenizer; check that the training data is not empty"
BYTE_LEVEL_MINIMUM = 256 + len(RESERVED)

# A word with the space before it, up to and including an elision's apostrophe (` l'`, `homme`);
# each digit alone; a run of other non-spaces; a run of spaces except its last, which belongs to the
# next word. Every character falls in exactly one piece. Saved tokenizers rely on it: a change needs
# a new format number in `serialization.py`, with this pattern kept for the old format.
PIECE_PATTERN = (
    r" ?\p{L}[\p{L}\p{M}]*(?:['’](?=\p{L}))?"
    r"| ?\p{N}"
    r"| ?[^\s\p{L}\p{N}]+"
    r"|\s+(?!\S)|\s+"
)


def byte_alphabet() -> list[str]:
    """The printable character for each byte 0..255 in byte-level models, as in GPT-2."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    symbols = {byte: chr(byte) for byte in printable}
    others = (byte for byte in range(256) if byte not in symbols)
    symbols.update({byte: chr(0x100 + i) for i, byte in enumerate(others)})
    return [symbols[byte] for byte in range(256)]


def on_bytes(model: models.Model) -> Tokenizer:
    """A library tokenizer that splits text by `PIECE_PATTERN` and works on bytes."""
    library = Tokenizer(model)
    library.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [
            pre_tokenizers.Split(Regex(PIECE_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    library.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    return library


def without_lead(text: str) -> str:
    """Remove the space that leads byte-level text."""
    return text.removeprefix(" ")


def require_room(config: TokenizerConfig) -> None:
    """Check that a vocabulary can hold the bytes.

    Raises:
        ConfigError: it cannot.
    """
    if config.vocab_size < BYTE_LEVEL_MINIMUM:
        raise ConfigError(
            f"vocab_size {config.vocab_size} is too small for kind {config.kind!r}: 256 bytes and "
            f"{len(RESERVED)} reserved tokens need at least {BYTE_LEVEL_MINIMUM}"
        )


def require_some(texts: Iterable[str]) -> Iterator[str]:
    """The texts that are not empty.

    Raises:
        DataError: there are none.
    """
    remaining = (text for text in texts if text)
    first = next(remaining, None)
    if first is None:
        raise DataError(NO_TEXT)
    return itertools.chain([first], remaining)


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


def _silence_fork_warning() -> None:
    """Let forked children (data workers) tokenize on one thread, without the library's warning.

    The library's thread pool does not survive a fork, which it reports on stderr unless its
    variable is set. Setting it permanently would slow down the parent, so it is set only around
    the fork. A value set by the user is kept.
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


_silence_fork_warning()
