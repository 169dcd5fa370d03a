"""Runs of bytes from a unigram model."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import Tokenizer as LibraryTokenizer
from tokenizers import models, trainers

from penstock.config import TokenizerConfig
from penstock.config.json_types import is_array
from penstock.special_tokens import RESERVED, UNK_ID
from penstock.text.pieces import (
    BYTE_LEVEL_MINIMUM,
    byte_alphabet,
    on_bytes,
    require_room,
    require_some,
    without_lead,
)
from penstock.text.tokenizer_types.tokenizer_type import TokenizerType
from penstock.text.vocabulary_checks import check_vocabulary, is_row


def train_unigram(texts: Iterable[str], config: TokenizerConfig) -> dict[str, Any]:
    """A unigram model (Kudo 2018, https://arxiv.org/abs/1804.10959) over bytes.

    `min_frequency` is ignored. The model may have fewer than `vocab_size` tokens: it keeps only
    pieces that make the text more probable.

    Raises:
        ConfigError: `vocab_size` cannot hold the bytes.
        DataError: no training text.
    """
    require_room(config)
    library = on_bytes(models.Unigram())
    trainer = trainers.UnigramTrainer(
        vocab_size=config.vocab_size,
        special_tokens=list(RESERVED),
        initial_alphabet=sorted(byte_alphabet()),
        unk_token=RESERVED[UNK_ID],
        show_progress=False,
    )
    library.train_from_iterator(require_some(texts), trainer)
    return _make_deterministic(json.loads(library.to_str())["model"], config.vocab_size)


def _make_deterministic(model: dict[str, Any], vocab_size: int) -> dict[str, Any]:
    """Remove the randomness from a trained unigram model.

    The library sums in the order of a randomly seeded hash map, so scores (log-probabilities)
    differ in their last digits and ties in order; in that order it also assigns 0.0000, 0.0001, …
    above the lowest score to unused bytes. Scores are rounded, unused bytes get one score, and
    pieces are sorted by score and text. For small vocabularies the library returns too many
    pieces; the least probable multi-byte ones are dropped.
    """
    reserved, pieces = model["vocab"][: len(RESERVED)], model["vocab"][len(RESERVED) :]
    lowest = min(score for _, score in pieces)
    unused_below = lowest + (256 + 0.5) * 1e-4
    rounded = [
        (piece, round(lowest if len(piece) == 1 and score < unused_below else score, 4))
        for piece, score in pieces
    ]
    rounded.sort(key=lambda entry: (-entry[1], entry[0]))
    runs = [piece for piece, _ in rounded if len(piece) > 1]
    dropped = set(runs[max(vocab_size - BYTE_LEVEL_MINIMUM, 0) :])
    kept = [entry for entry in rounded if entry[0] not in dropped]
    return model | {"vocab": [*reserved, *kept]}


def _build(model: dict[str, Any]) -> LibraryTokenizer:
    scored = _scored_vocabulary(model.get("vocab"))
    ids = {piece: index for index, (piece, _) in enumerate(scored)}
    check_vocabulary(ids, byte_level=True)
    return on_bytes(models.Unigram(scored, unk_id=UNK_ID, byte_fallback=False))


def _extend(model: dict[str, Any], symbols: Sequence[str]) -> dict[str, Any]:
    """Append each symbol, with half the cost of the pieces that spell it so far."""
    scores: dict[str, float] = dict(model["vocab"])
    added = [
        ["".join(encoding.tokens), round(sum(scores[piece] for piece in encoding.tokens) / 2, 4)]
        for encoding in _build(model).encode_batch(list(symbols))
    ]
    return {**model, "vocab": [*model["vocab"], *added]}


def _scored_vocabulary(content: Any) -> list[tuple[str, float]]:
    entries: list[Any] = content if is_array(content) else [None]
    if not all(
        is_row(entry)
        and len(entry) == 2
        and isinstance(entry[0], str)
        and isinstance(entry[1], float)
        and math.isfinite(entry[1])
        for entry in entries
    ):
        raise ValueError("damaged tokenizer: its vocabulary is not pieces with scores")
    return [(piece, score) for piece, score in entries]


TOKENIZER = TokenizerType("Unigram", train_unigram, _build, _extend, tidy=without_lead)
