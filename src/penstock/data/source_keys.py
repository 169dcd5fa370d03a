"""What makes two texts the same sentence, and a hash of it that is stable between runs."""

from __future__ import annotations

import hashlib
import unicodedata


def fold(text: str) -> str:
    """The text without its differences in case, spacing and Unicode form.

    `Go !` with a no-break space and `go !` with a space are one sentence: held apart, one of them
    in training would give the other away in the test.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.split()).casefold()


def stable_hash(text: str, seed: int) -> int:
    """64 bits that depend on the text and the seed only."""
    digest = hashlib.blake2b(text.encode(), digest_size=8, key=str(seed).encode()).digest()
    return int.from_bytes(digest, "big")
