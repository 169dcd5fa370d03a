"""`[text]`: how text becomes tokens."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from penstock.config.section import Section

TokenizerKind = Literal["word", "char", "separator", "bpe", "unigram"]


class TokenizerConfig(Section):
    """How one side's text becomes tokens."""

    kind: TokenizerKind = "bpe"
    """How text is cut into tokens: `bpe` and `unigram` learn pieces of words; `word` takes the
    chapter's lower-case words, `char` characters, `separator` the text between separators."""
    vocab_size: int = Field(default=8000, ge=8)
    """Most entries of the vocabulary, the four reserved tokens included; at least 260 for `bpe` and
    `unigram`."""
    min_frequency: int = Field(default=2, ge=1)
    """Leave out symbols that occur fewer times in the training data; not used by `unigram`."""
    separator: str = Field(default=" ", min_length=1)
    """What divides the tokens of kind `separator`."""

    @property
    def symbol_separator(self) -> str | None:
        """What divides symbols such as phones; None for every other kind of tokenizer."""
        return self.separator if self.kind == "separator" else None


class TextConfig(Section):
    """The tokenizers of both sides."""

    source: TokenizerConfig = TokenizerConfig()
    """Tokenizer of the source, or of the only text."""
    target: TokenizerConfig = TokenizerConfig()
    """Tokenizer of the target."""
    shared: bool = False
    """Train one tokenizer on both sides, as `text.source` describes it."""

    @property
    def target_side(self) -> TokenizerConfig:
        """The tokenizer of target text."""
        return self.source if self.shared else self.target
