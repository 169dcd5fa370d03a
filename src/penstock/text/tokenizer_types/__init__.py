"""The tokenizers that can be trained, one module each.

`penstock.config.TOKENIZERS` is the table of them.
"""

from importlib import import_module

from penstock.config import tokenizer_entry
from penstock.text.tokenizer_types.tokenizer_type import SYMBOL_END, TokenizerType

__all__ = ["SYMBOL_END", "TokenizerType", "tokenizer_type"]


def tokenizer_type(name: str) -> TokenizerType:
    """Look up a tokenizer by the name of its kind.

    Raises:
        ValueError: there is no such tokenizer.
    """
    return import_module(tokenizer_entry(name).module).TOKENIZER
