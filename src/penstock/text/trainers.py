"""Tokenizer training, one function per family.

Each reads a stream of texts, keeps only counts in memory, and is deterministic, ties included.
Each returns the model in the format of the library's JSON.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from tokenizers import models, trainers

from penstock.config import TokenizerConfig
from penstock.errors import ConfigError, DataError
from penstock.special_tokens import RESERVED, UNK_ID
from penstock.text.pieces import byte_alphabet, on_bytes

BYTE_LEVEL_MINIMUM = 256 + len(RESERVED)


def train_symbols(sequences: Iterable[list[str]], config: TokenizerConfig) -> dict[str, Any]:
    """Keep the most frequent symbols that occur `min_frequency` times; ties in code point order.

    Raises:
        DataError: no symbol is frequent enough.
    """
    counts: Counter[str] = Counter()
    for sequence in sequences:
        counts.update(sequence)
    if not counts:
        raise DataError(_NOTHING)
    frequent = [symbol for symbol, count in counts.items() if count >= config.min_frequency]
    if not frequent:
        raise DataError(
            f"none of the {len(counts)} distinct tokens of the training text occurs "
            f"{config.min_frequency} times; lower min_frequency"
        )
    frequent.sort(key=lambda symbol: (-counts[symbol], symbol))
    kept = [*RESERVED, *frequent[: max(config.vocab_size - len(RESERVED), 0)]]
    vocabulary = {symbol: index for index, symbol in enumerate(kept)}
    return {"type": "WordLevel", "vocab": vocabulary}


def train_bpe(texts: Iterable[str], config: TokenizerConfig) -> dict[str, Any]:
    """Byte-pair merges (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909) over bytes.

    Raises:
        ConfigError: `vocab_size` cannot hold the bytes.
        DataError: no training text.
    """
    _require_room(config)
    library = on_bytes(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        min_frequency=config.min_frequency,
        special_tokens=list(RESERVED),
        initial_alphabet=sorted(byte_alphabet()),
        show_progress=False,
    )
    library.train_from_iterator(_require_some(texts), trainer)
    return json.loads(library.to_str())["model"]


def train_unigram(texts: Iterable[str], config: TokenizerConfig) -> dict[str, Any]:
    """A unigram model (Kudo 2018, https://arxiv.org/abs/1804.10959) over bytes.

    `min_frequency` is ignored. The model may have fewer than `vocab_size` tokens: it keeps only
    pieces that make the text more probable.

    Raises:
        ConfigError: `vocab_size` cannot hold the bytes.
        DataError: no training text.
    """
    _require_room(config)
    library = on_bytes(models.Unigram())
    trainer = trainers.UnigramTrainer(
        vocab_size=config.vocab_size,
        special_tokens=list(RESERVED),
        initial_alphabet=sorted(byte_alphabet()),
        unk_token=RESERVED[UNK_ID],
        show_progress=False,
    )
    library.train_from_iterator(_require_some(texts), trainer)
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


_NOTHING = "no training text for the tokenizer; check that the training data is not empty"


def _require_room(config: TokenizerConfig) -> None:
    if config.vocab_size < BYTE_LEVEL_MINIMUM:
        raise ConfigError(
            f"vocab_size {config.vocab_size} is too small for kind {config.kind!r}: 256 bytes and "
            f"{len(RESERVED)} reserved tokens need at least {BYTE_LEVEL_MINIMUM}"
        )


def _require_some(texts: Iterable[str]) -> Iterator[str]:
    remaining = (text for text in texts if text)
    first = next(remaining, None)
    if first is None:
        raise DataError(_NOTHING)
    return itertools.chain([first], remaining)
