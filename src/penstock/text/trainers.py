"""Learning a vocabulary from training text, one function a family of tokenizers.

Each takes texts as a stream, keeps only counts in memory, and is deterministic: the same texts
give the same vocabulary, ties included. Each returns the model as the library's JSON has it.
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


def learn_symbols(sequences: Iterable[list[str]], config: TokenizerConfig) -> dict[str, Any]:
    """The most frequent symbols, those below `min_frequency` left out; ties in code point order.

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


def learn_bpe(texts: Iterable[str], config: TokenizerConfig) -> dict[str, Any]:
    """Byte-pair merges (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909) over bytes.

    Raises:
        ConfigError: `vocab_size` cannot hold the bytes.
        DataError: nothing to learn from.
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


def learn_unigram(texts: Iterable[str], config: TokenizerConfig) -> dict[str, Any]:
    """A unigram model (Kudo 2018, https://arxiv.org/abs/1804.10959) over bytes.

    `min_frequency` has no part in it; the model may have fewer than `vocab_size` tokens, since
    it only keeps pieces that make the text more probable.

    Raises:
        ConfigError: `vocab_size` cannot hold the bytes.
        DataError: nothing to learn from.
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
    return _settle(json.loads(library.to_str())["model"], config.vocab_size)


def _settle(model: dict[str, Any], vocab_size: int) -> dict[str, Any]:
    """Make a trained unigram model the same at every training on the same texts.

    The library sums in the order of a randomly seeded hash map, so that scores (log-probabilities)
    differ in their last digits and equal ones change places; and it hands out 0.0000, 0.0001, ...
    above the lowest score in that order to the bytes which no text used. We round the first, give
    the second one score, and sort by score and piece. For small vocabularies it also returns more
    pieces than it was asked for; the least probable that are not bytes go.
    """
    reserved, pieces = model["vocab"][: len(RESERVED)], model["vocab"][len(RESERVED) :]
    lowest = min(score for _, score in pieces)
    unused_below = lowest + (256 + 0.5) * 1e-4
    settled = [
        (piece, round(lowest if len(piece) == 1 and score < unused_below else score, 4))
        for piece, score in pieces
    ]
    settled.sort(key=lambda entry: (-entry[1], entry[0]))
    runs = [piece for piece, _ in settled if len(piece) > 1]
    dropped = set(runs[max(vocab_size - BYTE_LEVEL_MINIMUM, 0) :])
    kept = [entry for entry in settled if entry[0] not in dropped]
    return model | {"vocab": [*reserved, *kept]}


_NOTHING = "no training text to learn a tokenizer from; check that the training data is not empty"


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
