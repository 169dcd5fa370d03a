"""`[text]`: how text becomes tokens."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

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
    unicode: Auto[Literal["none", "NFC", "NFD", "NFKC"]] = "none"
    """The Unicode form that the model reads or writes; outputs get the training text's form again.
    `NFKC` also replaces ligatures and full-width letters, which is not undone."""
    file: str | None = None
    """A saved tokenizer of that kind (a bundle's `source_tokenizer-….json`) to take instead of
    training one."""

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, name: str) -> str:
        tokenizer_entry(name)
        return name

    @model_validator(mode="after")
    def _composes(self) -> Self:
        if self.kind == "word" and self.unicode != "none":
            raise ValueError(
                f"unicode = {self.unicode!r}: kind 'word' composes its text (NFC) itself; leave "
                "it out, or take another kind"
            )
        return self

    @property
    def makes_pieces(self) -> bool:
        """Whether a token may be part of a word."""
        return tokenizer_entry(self.kind).pieces

    @property
    def symbol_separator(self) -> str | None:
        """What divides symbols such as phones; None for every other kind of tokenizer."""
        return self.separator if tokenizer_entry(self.kind).joiner is None else None


class SourceTokenizerConfig(TokenizerConfig):
    """How the source's text and columns become tokens."""

    features: Literal["auto", "none"] | list[int] = "auto"
    """Which columns of a source with several hold features, such as `V;PST`, each of them a symbol:
    their positions among `data.columns`, from 1; `auto` recognises them."""
    feature_delimiter: str = Field(default=";", min_length=1)
    """What divides the features of a column; not used by `auto`, which finds it."""

    @field_validator("features")
    @classmethod
    def _positions(cls, value: str | list[int]) -> str | list[int]:
        if not isinstance(value, str) and (not value or min(value) < 1):
            raise ValueError("give positions from 1, auto or none")
        return value


class TextConfig(Section):
    """The tokenizers of both sides."""

    source: SourceTokenizerConfig = SourceTokenizerConfig()
    """Tokenizer of the source, or of the only text."""
    target: TokenizerConfig = TokenizerConfig()
    """Tokenizer of the target."""
    shared: Auto[bool] = False
    """Train one tokenizer on both sides, as `text.source` describes it."""

    case: Literal["keep", "lower", "auto"] = "auto"
    """What to do with sources in other case than the training text: `keep` reads them as they are
    written, `auto` in the training text's case; `lower` trains and reads in lower case. The output
    of a line in capitals is put in capitals."""

    @property
    def target_side(self) -> TokenizerConfig:
        """The tokenizer of target text."""
        return self.source if self.shared else self.target
