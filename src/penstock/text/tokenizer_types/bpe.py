"""Runs of bytes from byte-pair merges."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import Tokenizer as LibraryTokenizer
from tokenizers import models, trainers

from penstock.config import TokenizerConfig
from penstock.config.json_types import is_array
from penstock.special_tokens import RESERVED
from penstock.text.pieces import byte_alphabet, on_bytes, require_room, require_some, without_lead
from penstock.text.tokenizer_types.tokenizer_type import TokenizerType
from penstock.text.vocabulary_checks import is_row, read_vocabulary


def train_bpe(texts: Iterable[str], config: TokenizerConfig) -> dict[str, Any]:
    """Byte-pair merges (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909) over bytes.

    Raises:
        ConfigError: `vocab_size` cannot hold the bytes.
        DataError: no training text.
    """
    require_room(config)
    library = on_bytes(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.min_frequency,
        special_tokens=list(RESERVED),
        initial_alphabet=sorted(byte_alphabet()),
        show_progress=False,
    )
    library.train_from_iterator(require_some(texts), trainer)
    return json.loads(library.to_str())["model"]


def _build(model: dict[str, Any]) -> LibraryTokenizer:
    vocabulary = read_vocabulary(model.get("vocab"), byte_level=True)
    return on_bytes(models.BPE(vocabulary, _merges(model.get("merges"), vocabulary)))


def _extend(model: dict[str, Any], symbols: Sequence[str]) -> dict[str, Any]:
    """Append the merges that join each symbol; those of the model apply before them."""
    vocabulary: dict[str, int] = dict(model["vocab"])
    merges = dict.fromkeys((left, right) for left, right in model["merges"])
    for encoding in _build(model).encode_batch(list(symbols)):
        joined, *rest = encoding.tokens
        for token in rest:
            merges[joined, token] = None
            joined += token
            vocabulary.setdefault(joined, len(vocabulary))
    return {**model, "vocab": vocabulary, "merges": [list(merge) for merge in merges]}


def _merges(content: Any, vocabulary: dict[str, int]) -> list[tuple[str, str]]:
    if is_array(content) and all(is_row(entry) and len(entry) == 2 for entry in content):
        merges: list[tuple[Any, Any]] = [(left, right) for left, right in content]
        parts = [part for merge in merges for part in merge]
        if all(isinstance(part, str) for part in parts):
            joined = [left + right for left, right in merges]
            if vocabulary.keys() >= {*parts, *joined}:
                return merges
    raise ValueError("damaged tokenizer: its merges are not pairs of its tokens")


TOKENIZER = TokenizerType("BPE", train_bpe, _build, _extend, tidy=without_lead)
