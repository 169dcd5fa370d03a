"""The tokenizer of a pretrained Transformer encoder (its `tokenizer.json`) with our ids.

| our id | theirs |
|---|---|
| 0 to 3, reserved | see `SpecialTokens` |
| 4 and above | ours minus 4 |

Rows keep our BOS and EOS; the network adds the encoder's special tokens. If a user types `[SEP]`,
it is tokenized as ordinary text, or as unknown where the tokenizer insists on the special token.

The file is untrusted: the library may abort the whole process on unexpected content, or a few rules
can expand a line to gigabytes. So only components that encoders use are accepted.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Self, final

from tokenizers import Tokenizer as LibraryTokenizer

from penstock.config.json_types import is_array, is_object
from penstock.errors import DataError
from penstock.special_tokens import RESERVED, UNK_ID

FILE = "tokenizer.json"

_MODELS = ("WordPiece", "WordLevel", "BPE", "Unigram")
_NORMALIZERS = (
    "BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "Prepend",
    "Replace", "Strip", "StripAccents",
)  # fmt: skip
_PRE_TOKENIZERS = (
    "BertPreTokenizer", "ByteLevel", "Digits", "Metaspace", "Punctuation", "UnicodeScripts",
    "Whitespace", "WhitespaceSplit",
)  # fmt: skip
_DECODERS = (
    "BPEDecoder", "ByteFallback", "ByteLevel", "Fuse", "Metaspace", "Replace", "Strip", "WordPiece",
)  # fmt: skip
_LISTS = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers", "decoder": "decoders"}
_SAFE_PATTERNS = (" {2,}",)  # an untrusted regular expression may never end
_MAX_STEPS = 16
_UNKNOWN_TOKENS = ("[UNK]", "<unk>")
_PROBE = "a"


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The encoder's special tokens, as its ids.

    Attributes:
        first: begins every input ([CLS], <s>).
        last: ends every input ([SEP], </s>); our EOS.
        unknown: our UNK; `last` if the tokenizer has no unknown token.
    """

    first: int
    last: int
    unknown: int


@final
class PretrainedTokens:
    """A library tokenizer and its special tokens: text to our ids and back.

    Attributes:
        library: the tokenizer; it adds no special tokens.
        special_tokens: of the encoder.
        size: number of our ids, including the reserved ones.
    """

    def __init__(self, library: LibraryTokenizer, special_tokens: SpecialTokens) -> None:
        self.library = library
        self.special_tokens = special_tokens
        vocabulary = library.get_vocab(with_added_tokens=True)
        self.size = len(RESERVED) + max(vocabulary.values()) + 1
        special = {i for i, t in library.get_added_tokens_decoder().items() if t.special}
        self._unreachable = special | set(astuple(special_tokens))

    @classmethod
    def read(cls, directory: str | Path) -> Self:
        """Read the `tokenizer.json` of a model's directory.

        Raises:
            DataError: no such file, or one that is damaged or not an encoder's.
        """
        path = Path(directory) / FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise DataError(
                f"cannot read the tokenizer: {error.strerror}; give a directory that has the "
                "model and its 'fast' tokenizer (tokenizer.save_pretrained writes it)",
                path=path,
            ) from None
        except (ValueError, RecursionError) as error:
            raise DataError(f"not JSON: {error}; fetch the file again", path=path) from None
        try:
            if not is_object(content):
                raise ValueError("not a tokenizer")
            special_tokens = _special_tokens(content)
            return cls(build(content), special_tokens)
        except ValueError as error:
            raise DataError(f"{error}; choose another encoder", path=path) from None

    @classmethod
    def from_parts(cls, content: Any, own: Any) -> Self:
        """Deserialize from the library's JSON and the special tokens.

        Raises:
            ValueError: damaged, or not an encoder's tokenizer.
        """
        library = build(content)
        known = set(library.get_vocab(with_added_tokens=True).values())
        ids: list[int] = []
        for name in ("first", "last", "unknown"):
            index = own.get(name) if is_object(own) else None
            if type(index) is not int or index not in known:
                raise ValueError(f"damaged tokenizer: its {name} token is {index!r}")
            ids.append(index)
        return cls(library, SpecialTokens(*ids))

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode each text to our ids, without special tokens."""
        with _library_errors("the encoder's tokenizer failed on a text", DataError):
            encodings = self.library.encode_batch_fast(list(texts), add_special_tokens=False)
        return [
            [UNK_ID if i in self._unreachable else i + len(RESERVED) for i in encoding.ids]
            for encoding in encodings
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """Decode with the tokenizer's own decoder."""
        kept = [i - len(RESERVED) for i in ids if i >= len(RESERVED)]
        with _library_errors("the encoder's tokenizer failed on its ids", DataError):
            return self.library.decode(kept)

    def symbols(self) -> list[str]:
        """The token of every id in the tokenizer's notation; empty for unused ids."""
        own = [self.library.id_to_token(i) or "" for i in range(self.size - len(RESERVED))]
        return [*RESERVED, *own]


def build(content: Any) -> LibraryTokenizer:
    """Build the tokenizer of a `tokenizer.json`, without special tokens, truncation and padding.

    Raises:
        ValueError: a component that no encoder needs, or damage.
    """
    checked = _checked(content)
    library = _load(checked)
    library.encode_special_tokens = True  # what a user types is text
    for token in checked["added_tokens"]:
        found = library.token_to_id(token["content"])
        if found != token["id"]:
            raise ValueError(
                f"damaged tokenizer: its added token {token['content']!r} has id {token['id']}, "
                f"and gets {found}"
            )
    return library


def _load(content: dict[str, Any]) -> LibraryTokenizer:
    with _library_errors("damaged tokenizer"):
        return LibraryTokenizer.from_str(json.dumps(content))


@contextmanager
def _library_errors(what: str, error_type: type[Exception] = ValueError) -> Generator[None]:
    """Translate the library's bare exceptions, and its panics, which are not even `Exception`s."""
    try:
        yield
    except BaseException as error:
        if type(error) is Exception or type(error).__name__ == "PanicException":
            raise error_type(f"{what}: {error}") from None
        raise


def _special_tokens(content: dict[str, Any]) -> SpecialTokens:
    """Find the special tokens by running the file's post-processor."""
    library = _load(_checked(content) | {"post_processor": content.get("post_processor")})
    with _library_errors("damaged tokenizer"):
        plain = library.encode(_PROBE, add_special_tokens=False).ids
        marked = library.encode(_PROBE).ids
    if len(marked) != len(plain) + 2 or marked[1:-1] != plain:
        raise ValueError(
            "the tokenizer does not set one mark before a text and one after it, as encoders have "
            f"it: {_PROBE!r} becomes {library.encode(_PROBE).tokens}"
        )
    unknown = _unknown_token(content["model"])
    candidates = (unknown, *_UNKNOWN_TOKENS) if unknown else _UNKNOWN_TOKENS
    ids = [i for token in candidates if (i := library.token_to_id(token)) is not None]
    return SpecialTokens(marked[0], marked[-1], ids[0] if ids else marked[-1])


def _unknown_token(model: dict[str, Any]) -> str | None:
    if model["type"] == "Unigram":
        index = model.get("unk_id")
        return None if index is None else model["vocab"][index][0]
    return model.get("unk_token")


# --- checks -------------------------------------------------------------------------------------


def _checked(content: Any) -> dict[str, Any]:
    if not is_object(content):
        raise ValueError("damaged tokenizer: it is no JSON object")
    model = _checked_model(content.get("model"))
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _checked_added(content.get("added_tokens")),
        "normalizer": _checked_part(content, "normalizer", _NORMALIZERS),
        "pre_tokenizer": _checked_part(content, "pre_tokenizer", _PRE_TOKENIZERS),
        "post_processor": None,
        "decoder": _checked_part(content, "decoder", _DECODERS),
        "model": model,
    }


def _checked_added(added: Any) -> list[dict[str, Any]]:
    """The tokens outside the model's vocabulary."""
    if added is None:
        return []
    if not is_array(added) or not all(
        is_object(token)
        and isinstance(token.get("content"), str)
        and token["content"]
        and type(token.get("id")) is int
        for token in added
    ):
        raise ValueError("damaged tokenizer: its added tokens are not texts with ids")
    return added


def _checked_part(content: dict[str, Any], name: str, known: tuple[str, ...]) -> Any:
    part = content.get(name)
    if part is None:
        return None
    steps = [part]
    if is_object(part) and part.get("type") == "Sequence":
        steps = part.get(_LISTS[name])
        if not is_array(steps) or len(steps) > _MAX_STEPS:
            raise ValueError(f"its {name} is not a list of at most {_MAX_STEPS} steps")
    kinds = [step.get("type") if is_object(step) else None for step in steps]
    if kinds.count("Precompiled") > 1:
        raise ValueError(f"its {name} has several tables of characters")
    for kind, step in zip(kinds, steps, strict=True):
        if kind not in known:
            raise ValueError(f"its {name} {kind!r} is not one that encoders use")
        if kind in ("Replace", "Prepend") and name != "decoder":
            _reject_growth(step, name)
        if kind == "Replace":
            _reject_unsafe_pattern(step, name)
    return part


def _reject_growth(step: dict[str, Any], name: str) -> None:
    """A few rules that each lengthen a text can together expand it without bound."""
    new = step.get("prepend") if step["type"] == "Prepend" else step.get("content")
    pattern = step.get("pattern")
    old = pattern.get("String", " ") if is_object(pattern) else " "
    if not isinstance(new, str) or not isinstance(old, str) or len(new) > max(len(old), 1):
        raise ValueError(f"its {name} {step['type']!r} makes texts longer")


def _reject_unsafe_pattern(step: dict[str, Any], name: str) -> None:
    pattern = step.get("pattern")
    regex = pattern.get("Regex") if is_object(pattern) else None
    if regex is not None and regex not in _SAFE_PATTERNS:
        raise ValueError(f"its {name} has the pattern {regex!r}, which is not one of encoders")


def _checked_model(model: Any) -> dict[str, Any]:
    kind = model.get("type") if is_object(model) else None
    if not is_object(model) or kind not in _MODELS:
        raise ValueError(f"its model {kind!r} is not one of {', '.join(_MODELS)}")
    if kind == "Unigram":
        _check_scored(model)
        return model
    vocabulary = model.get("vocab")
    if not is_object(vocabulary) or not vocabulary:
        raise ValueError("damaged tokenizer: its vocabulary is not tokens with ids")
    ids = list(vocabulary.values())
    highest = 2 * len(ids) + 1024  # vocabularies may have gaps, but a table has a row per id
    if not all(type(i) is int and 0 <= i < highest for i in ids) or len(set(ids)) < len(ids):
        raise ValueError("damaged tokenizer: its ids are not different small numbers")
    unknown = model.get("unk_token")
    if unknown is not None and unknown not in vocabulary:
        raise ValueError(f"damaged tokenizer: its unknown token {unknown!r} has no id")
    if kind == "BPE":
        if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
            raise ValueError("its BPE model marks parts of words, which encoders do not")
        _check_merges(model.get("merges"), vocabulary)
        return model | {"dropout": None}  # tokenization must be deterministic
    return model


def _check_scored(model: dict[str, Any]) -> None:
    entries, unknown = model.get("vocab"), model.get("unk_id")
    sound = (
        is_array(entries)
        and len(entries) > 0
        and all(
            is_array(entry)
            and len(entry) == 2
            and isinstance(entry[0], str)
            and entry[0]
            and isinstance(entry[1], int | float)
            and abs(entry[1]) < 1e9
            for entry in entries
        )
        and (unknown is None or (type(unknown) is int and 0 <= unknown < len(entries)))
    )
    if not sound:
        raise ValueError("damaged tokenizer: its vocabulary is not pieces with scores")


def _check_merges(merges: Any, vocabulary: dict[str, Any]) -> None:
    if not is_array(merges):
        raise ValueError("damaged tokenizer: its merges are no list")
    for merge in merges:
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if (
            not is_array(pair)
            or len(pair) != 2
            or not all(isinstance(part, str) and part in vocabulary for part in pair)
            or "".join(pair) not in vocabulary
        ):
            raise ValueError(f"damaged tokenizer: its merge {merge!r} is not a pair of its tokens")
