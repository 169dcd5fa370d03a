"""Text and token ids: normalisation and tokenizers."""

from penstock.text.normalize import preprocess, rejoin
from penstock.text.pieces import BOS_ID, EOS_ID, PAD_ID, RESERVED, UNK_ID
from penstock.text.tokenizer import Tokenizer

__all__ = [
    "BOS_ID",
    "EOS_ID",
    "PAD_ID",
    "RESERVED",
    "UNK_ID",
    "Tokenizer",
    "preprocess",
    "rejoin",
]
