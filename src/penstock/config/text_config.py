"""`[text]`: how text becomes tokens."""

from __future__ import annotations

from pydantic import Field, field_validator

from penstock.config.section import Auto, Section
from penstock.config.tokenizer_table import tokenizer_entry


class TokenizerConfig(Section):
    """How one side's text becomes tokens."""

    kind: Auto[str] = "bpe"
    """How text is cut into tokens: `bpe` and `unigram` learn pieces of words; `word` takes the
    chapter's lower-case words, `char` characters, `separator` the text between separators."""
    vocab_size: Auto[int] = Field(default=8000, ge=8, le=1_000_000)
    """Most entries of the vocabulary, the four reserved tokens included; at least 260 for `bpe` and
    `unigram`."""
    min_frequency: Auto[int] = Field(default=2, ge=1, le=10**9)
    """Leave out symbols that occur fewer times in the training data; not used by `unigram`."""
    separator: str = Field(default=" ", min_length=1)
    """What divides the tokens of kind `separator`."""
    file: str | None = None
    """A saved tokenizer of that kind (a bundle's `source_tokenizer-….json`) to take instead of
    training one."""

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, name: str) -> str:
        tokenizer_entry(name)
        return name

    @property
    def makes_pieces(self) -> bool:
        """Whether a token may be part of a word."""
        return tokenizer_entry(self.kind).pieces

    @property
    def symbol_separator(self) -> str | None:
        """What divides symbols such as phones; None for every other kind of tokenizer."""
        return self.separator if tokenizer_entry(self.kind).joiner is None else None


class TextConfig(Section):
    """The tokenizers of both sides."""

    source: TokenizerConfig = TokenizerConfig()
    """Tokenizer of the source, or of the only text."""
    target: TokenizerConfig = TokenizerConfig()
    """Tokenizer of the target."""
    shared: Auto[bool] = False
    """Train one tokenizer on both sides, as `text.source` describes it."""

    @property
    def target_side(self) -> TokenizerConfig:
        """The tokenizer of target text."""
        return self.source if self.shared else self.target
