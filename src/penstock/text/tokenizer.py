"""Text to token ids and back: tokenizers of several kinds, each saved as one JSON file.

| kind | a token is | text -> ids -> text |
|---|---|---|
| `word` | a word of the book's preprocessing | lower case, spaces unified, rare words `<unk>` |
| `char` | a character | exact for known characters |
| `separator` | the text between separators | exact for known tokens |
| `bpe` | a run of bytes from byte-pair merges | exact for every string |
| `unigram` | a run of bytes from a unigram model | exact for every string |
| `pretrained` | a token of a Transformer encoder | as exact as that tokenizer |

Text never encodes to a reserved id other than `<unk>`: a user who types `<eos>` gets ordinary
tokens. All kinds but `pretrained` are in `penstock.config.TOKENIZERS`. `form` says what happens to
text first: its Unicode form, undone by `decode`, and the columns of a source that has several.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import final

from tokenizers import Tokenizer as LibraryTokenizer

from penstock.config import TokenizerConfig, tokenizer_entry
from penstock.errors import BundleError, ConfigError
from penstock.special_tokens import RESERVED, UNK_ID
from penstock.text.pieces import byte_alphabet, require_characters
from penstock.text.pretrained_tokenizer import PretrainedTokens
from penstock.text.serialization import TokenizerParts, build, read_json, write_json
from penstock.text.text_form import TextForm
from penstock.text.tokenizer_types import SYMBOL_END, tokenizer_type
from penstock.text.unicode_form import UnicodeForm


@final
class Tokenizer:
    """A trained, immutable tokenizer, made by `train`, `pretrained`, `load` or `from_json`.

    Attributes:
        kind: a name of `penstock.config.TOKENIZERS`, or `pretrained`.
        separator: text between tokens of kind `separator`; unused by other kinds.
        symbol_separator: what divides symbols such as phones; None for every other kind.
        joiner: text between tokens.
        is_byte_level: whether tokens are runs of bytes, so that none is unknown.
        keeps_spaces: whether the spaces of a text are symbols, or part of them.
        vocab_size: number of ids, the reserved ones (0 to 3) included.
        special_tokens: of a `pretrained` encoder; None for other kinds.
        form: Unicode form, columns and letter case of the text.
    """

    def __init__(
        self,
        library: LibraryTokenizer,
        kind: str,
        separator: str,
        pretrained: PretrainedTokens | None = None,
        form: TextForm | None = None,
    ) -> None:
        self._library = library
        self.form = form or TextForm()
        self._pretrained = pretrained
        self.kind = kind
        self.separator = separator
        joiner = "" if pretrained is not None else tokenizer_entry(kind).joiner
        self.symbol_separator = separator if joiner is None else None
        self.joiner = separator if joiner is None else joiner
        self._type = None if pretrained is not None else tokenizer_type(kind)
        self.is_byte_level = self._type is not None and self._type.split is None
        self.keeps_spaces = pretrained is None and not self.is_byte_level and not self.joiner
        if pretrained is None:
            self._contents = _contents(library, byte_level=self.is_byte_level)
        else:
            self._contents = [symbol.encode() for symbol in pretrained.symbols()]
        self._text_size = len(self._contents)  # ids of text come first, then those of columns
        if self.form.columns is not None:
            self._contents += [symbol.encode() for symbol in self.form.columns.shown()]
        self.vocab_size = len(self._contents)
        self.special_tokens = None if pretrained is None else pretrained.special_tokens

    @classmethod
    def train(
        cls, texts: Iterable[str], config: TokenizerConfig, form: TextForm | None = None
    ) -> Tokenizer:
        """Train on a stream of texts (never on held-out ones).

        Deterministic: the same texts in the same order give the same `to_json()`.

        Args:
            texts: as a user writes them.
            config: kind and size.
            form: Unicode form, columns and letter case; default: plain text.

        Raises:
            ConfigError: `vocab_size` below 260 for `bpe` or `unigram`.
            DataError: no text, or no token as frequent as `min_frequency`.
        """
        chosen, separator = tokenizer_type(config.kind), config.separator
        form = form or TextForm()
        cells = (cell for text in texts for cell in form.cells(require_characters(text)))
        model = chosen.train((chosen.prepare(cell, separator) for cell in cells), config)
        return cls(build(model, config.kind), config.kind, config.separator, None, form)

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
            DataError: the text has a lone surrogate, or not the columns that the model reads.
        """
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode many texts on all cores; see `encode`."""
        columns = self.form.columns
        if columns is None:
            return self._encode([self.form.unicode.apply(require_characters(t)) for t in texts])
        cells = [cell for text in texts for cell in self.form.cells(require_characters(text))]
        encoded = iter(self._encode(cells))
        return [columns.weave(text, lambda _: next(encoded), self._symbol_id) for text in texts]

    def encode_sources(self, texts: Iterable[str]) -> list[list[int]]:
        """Encode sources in the case in which a model reads them; see `LetterCase`."""
        return self.encode_batch([self.form.read(text).text for text in texts])

    def _encode(self, texts: list[str]) -> list[list[int]]:
        if self._pretrained is not None:
            return self._pretrained.encode_batch(texts)
        assert self._type is not None
        inputs = [self._type.prepare(text, self.separator) for text in texts]
        encodings = self._library.encode_batch_fast(
            inputs,  # pyright: ignore[reportArgumentType]
            is_pretokenized=not self.is_byte_level,
            add_special_tokens=False,
        )
        return [encoding.ids for encoding in encodings]

    def normalized(self, text: str) -> str:
        """The text as its tokens read it: in the model's case and Unicode form, symbols split."""
        text = self.form.unicode.apply(self.form.read(text).text)
        if self._type is None or self._type.split is None:
            return text
        return self.joiner.join(self._type.split(text, self.separator))

    def decode(self, ids: Sequence[int], *, skip_unknown: bool = False) -> str:
        """Decode ids to text without reserved tokens other than `<unk>` and symbols of columns.

        The text is written as the training text is (`UnicodeForm.undo`). Bytes that form no
        character, which a model may generate, become U+FFFD.

        Args:
            ids: token ids below `vocab_size`.
            skip_unknown: omit `<unk>` too.
        """
        if self._pretrained is not None:
            return self._pretrained.decode(ids)
        kept = [
            self._contents[index]
            for index in ids
            if self._is_text(index) or (index == UNK_ID and not skip_unknown)
        ]
        return self._text(kept)

    def decode_with(self, ids: Sequence[int], unknown: Sequence[str]) -> str:
        """Decode with a replacement for each `<unk>`, in order."""
        replacements = iter(unknown)
        kept = [
            next(replacements).encode() if index == UNK_ID else self._contents[index]
            for index in ids
            if self._is_text(index) or index == UNK_ID
        ]
        return self._text(kept)

    def surfaces(self, text: str) -> list[str]:
        """The surface form of each id of `encode(text)`, also where the id is `<unk>`."""
        if self.form.columns is not None:
            return self.form.columns.weave(text, self._cell_surfaces, str)
        return self._cell_surfaces(text)

    def _cell_surfaces(self, text: str) -> list[str]:
        text = self.form.unicode.apply(text)
        if self._type is None:
            return text.split(self.separator) if text else []
        if self._type.split is None:
            return self.tokens(self._encode([text])[0])
        return self._type.split(text, self.separator)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Readable tokens for display, one per id.

        A space is shown as `▁`, a byte of an incomplete character as `\\xe2`; tokens with
        text between them, and those of a pretrained encoder, are shown unchanged.
        """
        shown = [self._contents[index].decode("utf-8", "backslashreplace") for index in ids]
        if self.joiner or self._pretrained is not None:
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
        return [
            _word(content, self.form.unicode, byte_level=self.is_byte_level)
            if self._is_text(index)
            else None
            for index, content in enumerate(self._contents)
        ]

    def missing(self, texts: Iterable[str]) -> Counter[str]:
        """Count the symbols of texts that the vocabulary lacks.

        Those of bytes lack no text: of theirs, characters that no single token spells are counted.
        A pretrained encoder's are not known.
        """
        counts: Counter[str] = Counter()
        if self._type is None:
            return counts
        for text in texts:
            for cell in self.form.cells(text):
                counts.update(self._type.split(cell, self.separator) if self._type.split else cell)
        known = set(self._contents[len(RESERVED) :])
        return Counter({s: n for s, n in counts.items() if s.encode() not in known})

    def extended(self, symbols: Sequence[str]) -> Tokenizer:
        """This tokenizer with tokens for more symbols, whose ids follow its own.

        Texts without those symbols have the ids that they had.

        Args:
            symbols: keys of `missing`.

        Raises:
            ConfigError: the tokenizer is a pretrained encoder's, or has ids of columns.
        """
        if self._type is None:
            raise ConfigError(
                "start.extend_vocabulary = true: the vocabulary is a pretrained encoder's, which "
                "takes no further tokens; leave it out"
            )
        if self.form.columns is not None:
            raise ConfigError(
                "start.extend_vocabulary = true: the vocabulary ends with the symbols of columns, "
                "and takes no further tokens; leave it out"
            )
        model = self._type.extend(json.loads(self._library.to_str())["model"], symbols)
        return Tokenizer(build(model, self.kind), self.kind, self.separator, None, self.form)

    def with_form(self, form: TextForm) -> Tokenizer:
        """This tokenizer with another form of its text; its own ids stay."""
        return Tokenizer(self._library, self.kind, self.separator, self._pretrained, form)

    def to_json(self) -> str:
        """Serialize to JSON: our description and the library's own JSON."""
        return write_json(
            TokenizerParts(self._library, self.kind, self.separator, self._pretrained, self.form)
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
        text = self.joiner.encode().join(contents).decode("utf-8", "replace")
        return self.form.unicode.undo(text if self._type is None else self._type.tidy(text))

    def _is_text(self, index: int) -> bool:
        return len(RESERVED) <= index < self._text_size

    def _symbol_id(self, symbol: str) -> int:
        assert self.form.columns is not None
        return self.form.columns.id_of(symbol, self._text_size)


def _word(content: bytes, form: UnicodeForm, *, byte_level: bool) -> str | None:
    try:
        text = form.undo(content.decode("utf-8"))
    except UnicodeDecodeError:
        return None  # part of a character
    word = text.strip()
    inside = byte_level and text[:1] != " " and any(c.isalpha() for c in text)
    return None if inside else word or None


def _contents(library: LibraryTokenizer, *, byte_level: bool) -> list[bytes]:
    """The UTF-8 bytes of each id."""
    by_id = sorted(library.get_vocab().items(), key=lambda item: item[1])
    symbols = [symbol for symbol, _ in by_id]
    if byte_level:
        byte_of = str.maketrans({symbol: chr(byte) for byte, symbol in enumerate(byte_alphabet())})
        return [symbol.translate(byte_of).encode("latin-1") for symbol in symbols]
    ordinary = [symbol.removesuffix(SYMBOL_END).encode() for symbol in symbols[len(RESERVED) :]]
    return [*(token.encode() for token in RESERVED), *ordinary]
