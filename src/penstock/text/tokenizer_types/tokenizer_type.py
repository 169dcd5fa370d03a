"""What a tokenizer does, as a value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer as LibraryTokenizer

# ends every stored symbol of the text, so none is empty or equals a reserved token
SYMBOL_END = " "


@dataclass(frozen=True, slots=True)
class TokenizerType:
    """A tokenizer: of symbols that it splits off itself, or of runs of bytes.

    Attributes:
        model: type of its model in the library's JSON.
        train: prepared texts and a `TokenizerConfig` to a model in the format of that JSON.
        build: a model to the library's tokenizer. The model may come from a file: raises ValueError
            unless it is sound.
        extend: a model with tokens for more symbols after its own, whose ids stay; texts without
            those symbols are tokenized as before.
        split: a text and the key `separator` to symbols; None: runs of bytes, which the library
            splits.
        tidy: corrects the text that joined tokens make.
    """

    model: str
    train: Callable[[Any, Any], dict[str, Any]]
    build: Callable[[dict[str, Any]], LibraryTokenizer]
    extend: Callable[[dict[str, Any], Sequence[str]], dict[str, Any]]
    split: Callable[[str, str], list[str]] | None = None
    tidy: Callable[[str], str] = str

    def prepare(self, text: str, separator: str) -> str | list[str]:
        """What `train` and the library read of a text.

        Bytes get a leading space, which makes the first word like any other.
        """
        if self.split is None:
            return f" {text}" if text else ""
        return [symbol + SYMBOL_END for symbol in self.split(text, separator)]
