"""Serialization of a tokenizer as JSON: our description beside the library's own.

    {"penstock": {"format": 1, "kind": "bpe", "separator": " "}, "tokenizer": {...}}

Format 2 adds a `form`, the Unicode form, columns and letter case of text (`text_form.py`).

Files are untrusted, and the library may abort the whole process on an unexpected model. So only the
vocabulary and the merges are read from a file and validated; all else is fixed by kind and format.
Kind `pretrained` keeps a foreign tokenizer whole, which `pretrained_tokenizer.py` validates; its
description has the encoder's special tokens as `own`.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, NamedTuple

from tokenizers import Tokenizer as LibraryTokenizer

from penstock.config import tokenizer_entry
from penstock.config.json_types import is_object
from penstock.errors import BundleError
from penstock.text.pretrained_tokenizer import PretrainedTokens
from penstock.text.text_form import TextForm
from penstock.text.tokenizer_types import tokenizer_type

FORMAT = 2
_FOREIGN = ("added_tokens", "normalizer", "post_processor", "truncation", "padding")


class TokenizerParts(NamedTuple):
    """The parts of a tokenizer; `pretrained` is None for every other kind."""

    library: LibraryTokenizer
    kind: str
    separator: str
    pretrained: PretrainedTokens | None = None
    form: TextForm = TextForm()


def write_json(stored: TokenizerParts) -> str:
    """Serialize to one line of JSON that `read_json` reads."""
    form = stored.form.to_plain()
    about: dict[str, Any] = {
        "format": FORMAT if form else 1, "kind": stored.kind, "separator": stored.separator
    }  # fmt: skip
    if form:
        about["form"] = form
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
        form = TextForm.from_plain(about.get("form", {}))
        if kind == "pretrained":
            tokens = PretrainedTokens.from_parts(content, about.get("own"))
            return TokenizerParts(tokens.library, kind, separator, tokens, form)
        foreign = [part for part in _FOREIGN if content.get(part)]
        if foreign:
            raise ValueError(f"the tokenizer has a foreign part {foreign[0]!r}")
        return TokenizerParts(build(content.get("model"), kind), kind, separator, None, form)
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"{place}: {error}; restore the file from its source or train again"
        ) from None


def build(model: Any, kind: str) -> LibraryTokenizer:
    """Build a library tokenizer from a model in the format of the library's JSON.

    Reserved tokens are only in the model's vocabulary, not among the 'added tokens', which the
    library would match in user text.

    Raises:
        ValueError: the model does not fit `kind`, or is damaged.
    """
    chosen = tokenizer_type(kind)
    found = model.get("type") if is_object(model) else None
    if not is_object(model) or found != chosen.model:
        raise ValueError(f"kind {kind!r} needs a {chosen.model} model, found {found!r}")
    return chosen.build(model)


def _parts(content: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    if is_object(content):
        about, library = content.get("penstock"), content.get("tokenizer")
        if is_object(about) and is_object(library):
            return about, library
    raise ValueError("not a penstock tokenizer: its JSON lacks 'penstock' and 'tokenizer'")


def _description(about: dict[str, Any]) -> tuple[str, str]:
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
    if not isinstance(kind, str):
        raise ValueError(f"tokenizer kind {kind!r} is not a name")
    tokenizer_entry(kind)
    if not isinstance(separator, str) or not separator:
        raise ValueError(f"separator {separator!r} is not a non-empty string")
    return kind, separator
