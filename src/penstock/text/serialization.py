"""Serialization of a tokenizer as JSON: our description beside the library's own.

    {"penstock": {"format": 1, "kind": "bpe", "separator": " "}, "tokenizer": {...}}

Files are untrusted, and the library may abort the whole process on an unexpected model. So only the
vocabulary and the merges are read from a file and validated; all else is fixed by kind and format.
Kind `pretrained` keeps a foreign tokenizer whole, which `pretrained_tokenizer.py` validates; its
description has the encoder's special tokens as `own`.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any, NamedTuple, TypeGuard

from tokenizers import Tokenizer as LibraryTokenizer
from tokenizers import models

from penstock.config import TokenizerKind
from penstock.config.json_types import is_array, is_object
from penstock.errors import BundleError
from penstock.special_tokens import RESERVED, UNK_ID
from penstock.text.pieces import BYTE_LEVEL, AnyKind, byte_alphabet, on_bytes
from penstock.text.pretrained_tokenizer import PretrainedTokens

FORMAT = 1
_MODELS: dict[TokenizerKind, str] = {
    "word": "WordLevel",
    "char": "WordLevel",
    "separator": "WordLevel",
    "bpe": "BPE",
    "unigram": "Unigram",
}
_FOREIGN = ("added_tokens", "normalizer", "post_processor", "truncation", "padding")


class TokenizerParts(NamedTuple):
    """The parts of a tokenizer; `pretrained` is None for every other kind."""

    library: LibraryTokenizer
    kind: AnyKind
    separator: str
    pretrained: PretrainedTokens | None = None


def write_json(stored: TokenizerParts) -> str:
    """Serialize to one line of JSON that `read_json` reads."""
    about: dict[str, Any] = {
        "format": FORMAT, "kind": stored.kind, "separator": stored.separator
    }  # fmt: skip
    if stored.pretrained is not None:
        about["own"] = asdict(stored.pretrained.special_tokens)
    content = {"penstock": about, "tokenizer": json.loads(stored.library.to_str())}
    return json.dumps(content, ensure_ascii=False) + "\n"


def read_json(text: str, place: str) -> TokenizerParts:
    """Deserialize what `write_json` wrote.

    Raises:
        BundleError: not a tokenizer of ours, damaged, or of a newer format.
    """
    try:
        about, content = _parts(json.loads(text))
        kind, separator = _description(about)
        if kind == "pretrained":
            tokens = PretrainedTokens.from_parts(content, about.get("own"))
            return TokenizerParts(tokens.library, kind, separator, tokens)
        foreign = [part for part in _FOREIGN if content.get(part)]
        if foreign:
            raise ValueError(f"the tokenizer has a foreign part {foreign[0]!r}")
        return TokenizerParts(build(content.get("model"), kind), kind, separator)
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"{place}: {error}; restore the file from its source or train again"
        ) from None


def build(model: Any, kind: TokenizerKind) -> LibraryTokenizer:
    """Build a library tokenizer from a model in the format of the library's JSON.

    Reserved tokens are only in the model's vocabulary, not among the 'added tokens', which the
    library would match in user text.

    Raises:
        ValueError: the model does not fit `kind`, or is damaged.
    """
    found = model.get("type") if is_object(model) else None
    if not is_object(model) or found != _MODELS[kind]:
        raise ValueError(f"kind {kind!r} needs a {_MODELS[kind]} model, found {found!r}")
    unknown = RESERVED[UNK_ID]
    if kind == "unigram":
        scored = _scored_vocabulary(model.get("vocab"))
        _check_vocabulary({piece: index for index, (piece, _) in enumerate(scored)}, kind)
        return on_bytes(models.Unigram(scored, unk_id=UNK_ID, byte_fallback=False))
    vocabulary = _vocabulary(model.get("vocab"))
    _check_vocabulary(vocabulary, kind)
    if kind == "bpe":
        return on_bytes(models.BPE(vocabulary, _merges(model.get("merges"), vocabulary)))
    return LibraryTokenizer(models.WordLevel(vocabulary, unk_token=unknown))


def _parts(content: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    if is_object(content):
        about, library = content.get("penstock"), content.get("tokenizer")
        if is_object(about) and is_object(library):
            return about, library
    raise ValueError("not a penstock tokenizer: its JSON lacks 'penstock' and 'tokenizer'")


def _description(about: dict[str, Any]) -> tuple[AnyKind, str]:
    version, kind, separator = about.get("format"), about.get("kind"), about.get("separator")
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"tokenizer format {version!r} is not a format number")
    if version > FORMAT:
        raise ValueError(
            f"tokenizer format {version} is newer than this penstock knows ({FORMAT}): "
            "upgrade penstock"
        )
    if kind == "pretrained":
        return kind, " "
    if not isinstance(kind, str) or kind not in _MODELS:
        raise ValueError(f"unknown tokenizer kind {kind!r}; known: {', '.join(_MODELS)}")
    if not isinstance(separator, str) or not separator:
        raise ValueError(f"separator {separator!r} is not a non-empty string")
    return kind, separator


def _vocabulary(content: Any) -> dict[str, int]:
    if not is_object(content) or not all(type(index) is int for index in content.values()):
        raise ValueError("damaged tokenizer: its vocabulary is not tokens with ids")
    return content


def _is_row(entry: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Files have arrays, trainers tuples."""
    return isinstance(entry, list | tuple)


def _scored_vocabulary(content: Any) -> list[tuple[str, float]]:
    entries: list[Any] = content if is_array(content) else [None]
    if not all(
        _is_row(entry)
        and len(entry) == 2
        and isinstance(entry[0], str)
        and isinstance(entry[1], float)
        and math.isfinite(entry[1])
        for entry in entries
    ):
        raise ValueError("damaged tokenizer: its vocabulary is not pieces with scores")
    return [(piece, score) for piece, score in entries]


def _check_vocabulary(vocabulary: dict[str, int], kind: TokenizerKind) -> None:
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise ValueError("damaged tokenizer: its ids are not 0, 1, 2, ... without gaps")
    if [vocabulary.get(token) for token in RESERVED] != list(range(len(RESERVED))):
        raise ValueError(f"damaged tokenizer: ids 0 to 3 are not {' '.join(RESERVED)}")
    for token in vocabulary:
        _require_utf8(token)
    if kind in BYTE_LEVEL:
        alphabet = set(byte_alphabet())
        if not alphabet <= vocabulary.keys():
            raise ValueError("damaged tokenizer: its vocabulary lacks some of the 256 bytes")
        if not all(alphabet.issuperset(token) and token for token in vocabulary):
            raise ValueError("damaged tokenizer: a token is not written in bytes")


def _require_utf8(token: str) -> None:
    try:
        token.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"damaged tokenizer: the token {token!r} is not text") from None


def _merges(content: Any, vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    entries: list[Any] = content if is_array(content) else [None]
    if not all(
        _is_row(entry)
        and len(entry) == 2
        and all(isinstance(part, str) and part in vocabulary for part in entry)
        and "".join(entry) in vocabulary
        for entry in entries
    ):
        raise ValueError("damaged tokenizer: its merges are not pairs of its tokens")
    return [(left, right) for left, right in entries]
