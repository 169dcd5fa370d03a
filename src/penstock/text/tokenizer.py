"""Text to token ids and back: six kinds of tokenizer, each saved as one JSON file.

| kind | a token is | text -> ids -> text |
|---|---|---|
| `word` | a word of the book's preprocessing | lower case, spaces unified, rare words `<unk>` |
| `char` | a character | exact for known characters |
| `separator` | the text between separators | exact for known tokens |
| `bpe` | a run of bytes from byte-pair merges | exact for every string |
| `unigram` | a run of bytes from a unigram model | exact for every string |
| `pretrained` | a token of a Transformer encoder | as exact as that tokenizer |

Text never encodes to a reserved id other than `<unk>`: a user who types `<eos>` gets ordinary
tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import final

from tokenizers import Tokenizer as LibraryTokenizer

from penstock.config import TokenizerConfig
from penstock.errors import BundleError
from penstock.special_tokens import RESERVED, UNK_ID
from penstock.text.normalize import preprocess, rejoin
from penstock.text.pieces import (
    BYTE_LEVEL,
    AnyKind,
    byte_alphabet,
    require_characters,
)
from penstock.text.pretrained_tokenizer import PretrainedTokens
from penstock.text.serialization import TokenizerParts, build, read_json, write_json
from penstock.text.trainers import train_bpe, train_symbols, train_unigram

# ends every stored symbol of the text, so none is empty or equals a reserved token
_SYMBOL_END = " "


@final
class Tokenizer:
    """A trained, immutable tokenizer, made by `train`, `pretrained`, `load` or `from_json`.

    Attributes:
        kind: one of `word`, `char`, `separator`, `bpe`, `unigram`, `pretrained`.
        separator: text between tokens of kind `separator`; unused by other kinds.
        vocab_size: number of ids, the reserved ones (0 to 3) included.
        special_tokens: of a `pretrained` encoder; None for other kinds.
    """

    def __init__(
        self,
        library: LibraryTokenizer,
        kind: AnyKind,
        separator: str,
        pretrained: PretrainedTokens | None = None,
    ) -> None:
        self._library = library
        self._pretrained = pretrained
        self.kind: AnyKind = kind
        self.separator = separator
        if pretrained is None:
            self._contents = _contents(library, kind)
        else:
            self._contents = [symbol.encode() for symbol in pretrained.symbols()]
        self.vocab_size = len(self._contents)
        self.special_tokens = None if pretrained is None else pretrained.special_tokens

    @classmethod
    def train(cls, texts: Iterable[str], config: TokenizerConfig) -> Tokenizer:
        """Train on a stream of texts (never on held-out ones).

        Deterministic: the same texts in the same order give the same `to_json()`.

        Raises:
            ConfigError: `vocab_size` below 260 for `bpe` or `unigram`.
            DataError: no text, or no token as frequent as `min_frequency`.
        """
        valid = (require_characters(text) for text in texts)
        if config.kind in BYTE_LEVEL:
            train = train_bpe if config.kind == "bpe" else train_unigram
            model = train((_lead(text) for text in valid), config)
        else:
            symbols = (_symbols(text, config.kind, config.separator) for text in valid)
            model = train_symbols(symbols, config)
        return cls(build(model, config.kind), config.kind, config.separator)

    @classmethod
    def pretrained(cls, directory: str | Path) -> Tokenizer:
        """Read the tokenizer of a Transformer encoder from its directory.

        Raises:
            DataError: the directory has no tokenizer, or not one of an encoder.
        """
        tokens = PretrainedTokens.read(directory)
        return cls(tokens.library, "pretrained", " ", tokens)

    def encode(self, text: str) -> list[int]:
        """Encode one text, without `<bos>` and `<eos>`; an empty text has no ids.

        Raises:
            DataError: the text has a lone surrogate.
        """
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode many texts on all cores; see `encode`."""
        valid = map(require_characters, texts)
        if self._pretrained is not None:
            return self._pretrained.encode_batch(list(valid))
        byte_level = self.kind in BYTE_LEVEL
        inputs = (
            [_lead(text) for text in valid]
            if byte_level
            else [_symbols(text, self.kind, self.separator) for text in valid]
        )
        encodings = self._library.encode_batch_fast(
            inputs,  # pyright: ignore[reportArgumentType]
            is_pretokenized=not byte_level,
            add_special_tokens=False,
        )
        return [encoding.ids for encoding in encodings]

    def decode(self, ids: Sequence[int], *, skip_unknown: bool = False) -> str:
        """Decode ids to text without reserved tokens other than `<unk>`.

        Bytes that form no character, which a model may generate, become U+FFFD.

        Args:
            ids: token ids below `vocab_size`.
            skip_unknown: omit `<unk>` too.
        """
        if self._pretrained is not None:
            return self._pretrained.decode(ids)
        kept = [
            self._contents[index]
            for index in ids
            if index >= len(RESERVED) or (index == UNK_ID and not skip_unknown)
        ]
        return self._text(kept)

    def decode_with(self, ids: Sequence[int], unknown: Sequence[str]) -> str:
        """Decode with a replacement for each `<unk>`, in order."""
        replacements = iter(unknown)
        kept = [
            next(replacements).encode() if index == UNK_ID else self._contents[index]
            for index in ids
            if index >= len(RESERVED) or index == UNK_ID
        ]
        return self._text(kept)

    def surfaces(self, text: str) -> list[str]:
        """The surface form of each id of `encode(text)`, also where the id is `<unk>`."""
        if self.kind in BYTE_LEVEL:
            return self.tokens(self.encode(text))
        symbols = _symbols(text, self.kind, self.separator)
        return [symbol.removesuffix(_SYMBOL_END) for symbol in symbols]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Readable tokens for display, one per id.

        A space is shown as `▁`, a byte of an incomplete character as `\\xe2`; tokens of kind
        `word`, `separator` and `pretrained` are shown unchanged.
        """
        shown = [self._contents[index].decode("utf-8", "backslashreplace") for index in ids]
        if self.kind in ("word", "separator", "pretrained"):
            return shown
        return [token.replace(" ", "▁") for token in shown]

    def vocabulary(self) -> list[str]:
        """All tokens by id, formatted for display as by `tokens` (two may look alike)."""
        return self.tokens(range(self.vocab_size))

    def words(self) -> list[str | None]:
        """The word to look up for each id, None where the token is not a whole word.

        A byte-level token is a word if it begins with a space or has no letters (punctuation,
        digits). Tokens of a pretrained encoder have their own vectors.
        """
        if self._pretrained is not None:
            return [None] * self.vocab_size
        return [None] * len(RESERVED) + [
            _word(content, self.kind) for content in self._contents[len(RESERVED) :]
        ]

    def to_json(self) -> str:
        """Serialize to JSON: our description and the library's own JSON."""
        return write_json(
            TokenizerParts(self._library, self.kind, self.separator, self._pretrained)
        )

    @classmethod
    def from_json(cls, text: str, *, place: str = "tokenizer") -> Tokenizer:
        """Deserialize the result of `to_json`.

        Args:
            text: the JSON.
            place: its origin, for messages.

        Raises:
            BundleError: not a tokenizer of ours, damaged, or of a newer format.
        """
        return cls(*read_json(text, place))

    def save(self, path: str | Path) -> None:
        """Write `to_json()` to a file, UTF-8."""
        Path(path).write_text(self.to_json(), encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """Read a saved tokenizer.

        Raises:
            BundleError: no such file, or as `from_json`.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise BundleError(f"{path}: cannot read the tokenizer: {error.strerror}") from None
        except UnicodeDecodeError:
            raise BundleError(
                f"{path}: not a text file; restore the file from its source or train again"
            ) from None
        return cls.from_json(text, place=str(path))

    def _text(self, contents: Sequence[bytes]) -> str:
        text = self._joiner().join(contents).decode("utf-8", "replace")
        if self.kind in BYTE_LEVEL:
            return text.removeprefix(" ")
        return rejoin(text) if self.kind == "word" else text

    def _joiner(self) -> bytes:
        if self.kind == "separator":
            return self.separator.encode()
        return b" " if self.kind == "word" else b""


def _lead(text: str) -> str:
    """Add the leading space that makes the first word like any other."""
    return f" {text}" if text else ""


def _symbols(text: str, kind: AnyKind, separator: str) -> list[str]:
    if kind == "word":
        symbols = preprocess(text).split()
    elif kind == "char":
        symbols = list(text)
    else:
        symbols = text.split(separator) if text else []
    return [symbol + _SYMBOL_END for symbol in symbols]


def _word(content: bytes, kind: AnyKind) -> str | None:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None  # part of a character
    word = text.strip()
    inside = kind in BYTE_LEVEL and text[:1] != " " and any(c.isalpha() for c in text)
    return None if inside else word or None


def _contents(library: LibraryTokenizer, kind: AnyKind) -> list[bytes]:
    """The UTF-8 bytes of each id."""
    by_id = sorted(library.get_vocab().items(), key=lambda item: item[1])
    symbols = [symbol for symbol, _ in by_id]
    if kind in BYTE_LEVEL:
        byte_of = {symbol: byte for byte, symbol in enumerate(byte_alphabet())}
        return [bytes(byte_of[character] for character in symbol) for symbol in symbols]
    ordinary = [symbol.removesuffix(_SYMBOL_END).encode() for symbol in symbols[len(RESERVED) :]]
    return [*(token.encode() for token in RESERVED), *ordinary]
