"""The text between separators, such as phones."""

from penstock.text.tokenizer_types.symbols import symbol_tokenizer


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if text else []


TOKENIZER = symbol_tokenizer(_split)
