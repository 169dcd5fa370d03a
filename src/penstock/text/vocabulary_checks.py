"""Validation of a vocabulary that was read from a file."""

from __future__ import annotations

from typing import Any, TypeGuard

from penstock.config.json_types import is_object
from penstock.special_tokens import RESERVED
from penstock.text.pieces import byte_alphabet


def read_vocabulary(content: Any, *, byte_level: bool = False) -> dict[str, int]:
    """Validate the ids by token of a model.

    Raises:
        ValueError: as `check_vocabulary`, or not tokens with ids.
    """
    if not is_object(content) or not all(type(index) is int for index in content.values()):
        raise ValueError("damaged tokenizer: its vocabulary is not tokens with ids")
    check_vocabulary(content, byte_level=byte_level)
    return content


def is_row(entry: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Files have arrays, trainers tuples."""
    return isinstance(entry, list | tuple)


def check_vocabulary(vocabulary: dict[str, int], *, byte_level: bool) -> None:
    """Check ids, reserved tokens, and that byte-level tokens are bytes.

    Raises:
        ValueError: the vocabulary is damaged.
    """
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise ValueError("damaged tokenizer: its ids are not 0, 1, 2, ... without gaps")
    if [vocabulary.get(token) for token in RESERVED] != list(range(len(RESERVED))):
        raise ValueError(f"damaged tokenizer: ids 0 to 3 are not {' '.join(RESERVED)}")
    try:
        "".join(vocabulary).encode()
    except UnicodeEncodeError as error:
        token = next(token for token in vocabulary if error.object[error.start] in token)
        raise ValueError(f"damaged tokenizer: the token {token!r} is not text") from None
    if byte_level:
        alphabet = set(byte_alphabet())
        if not alphabet <= vocabulary.keys():
            raise ValueError("damaged tokenizer: its vocabulary lacks some of the 256 bytes")
        if "" in vocabulary or not alphabet.issuperset("".join(vocabulary)):
            raise ValueError("damaged tokenizer: a token is not written in bytes")
