"""Words of the book's preprocessing."""

from penstock.text.normalize import preprocess, rejoin
from penstock.text.tokenizer_types.symbols import symbol_tokenizer


def _split(text: str, separator: str) -> list[str]:
    return preprocess(text).split()


TOKENIZER = symbol_tokenizer(_split, rejoin)
