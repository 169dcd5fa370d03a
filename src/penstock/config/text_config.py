"""`[text]`: how text becomes tokens."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from penstock.config.section import Section

TokenizerKind = Literal["word", "char", "separator", "bpe", "unigram"]


class TokenizerConfig(Section):
    """How one side's text becomes tokens."""

    kind: TokenizerKind = "bpe"
    vocab_size: int = Field(default=8000, ge=8)
    min_frequency: int = Field(default=2, ge=1)
    separator: str = Field(default=" ", min_length=1)


class TextConfig(Section):
    """The tokenizers of both sides."""

    source: TokenizerConfig = TokenizerConfig()
    target: TokenizerConfig = TokenizerConfig()
    shared: bool = Field(
        default=False, description="one tokenizer, trained on both sides as `source` says"
    )
