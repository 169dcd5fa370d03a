"""Characters."""

from penstock.text.tokenizer_types.symbols import symbol_tokenizer


def _split(text: str, separator: str) -> list[str]:
    return list(text)


TOKENIZER = symbol_tokenizer(_split)
