"""Tokenizers of whole symbols: a vocabulary of the most frequent ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tokenizers import Tokenizer as LibraryTokenizer
from tokenizers import models

from penstock.config import TokenizerConfig
from penstock.errors import DataError
from penstock.special_tokens import RESERVED, UNK_ID
from penstock.text.pieces import NO_TEXT
from penstock.text.tokenizer_types.tokenizer_type import SYMBOL_END, TokenizerType
from penstock.text.vocabulary_checks import read_vocabulary


def symbol_tokenizer(
    split: Callable[[str, str], list[str]], tidy: Callable[[str], str] = str
) -> TokenizerType:
    """A tokenizer of symbols.

    Args:
        split: a text and the key `separator` to symbols.
        tidy: corrects the text that joined symbols make.
    """
    return TokenizerType("WordLevel", train_symbols, _build, _extend, split, tidy)


def _build(model: dict[str, Any]) -> LibraryTokenizer:
    vocabulary = read_vocabulary(model.get("vocab"))
    return LibraryTokenizer(models.WordLevel(vocabulary, unk_token=RESERVED[UNK_ID]))


def _extend(model: dict[str, Any], symbols: Sequence[str]) -> dict[str, Any]:
    added = {
        f"{symbol}{SYMBOL_END}": index for index, symbol in enumerate(symbols, len(model["vocab"]))
    }
    return {**model, "vocab": {**model["vocab"], **added}}


def train_symbols(sequences: Iterable[list[str]], config: TokenizerConfig) -> dict[str, Any]:
    """Keep the most frequent symbols that occur `min_frequency` times; ties in code point order.

    Raises:
        DataError: no symbol is frequent enough.
    """
    counts: Counter[str] = Counter()
    for sequence in sequences:
        counts.update(sequence)
    if not counts:
        raise DataError(NO_TEXT)
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
