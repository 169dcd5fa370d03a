"""Text and token ids: normalisation and tokenizers."""

from penstock.special_tokens import BOS_ID, EOS_ID, PAD_ID, RESERVED, UNK_ID
from penstock.text.normalize import letters_only, preprocess, rejoin
from penstock.text.text_form import TextForm
from penstock.text.tokenizer import Tokenizer

__all__ = [
    "BOS_ID",
    "EOS_ID",
    "PAD_ID",
    "RESERVED",
    "UNK_ID",
    "TextForm",
    "Tokenizer",
    "letters_only",
    "preprocess",
    "rejoin",
]
