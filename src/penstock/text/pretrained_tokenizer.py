"""The tokenizer of a pretrained Transformer encoder (its `tokenizer.json`), behind our ids.

| our id | theirs |
|---|---|
| 0 to 3, the reserved ones | see `OwnTokens` |
| 4 and above | ours less 4 |

So a row of ours begins and ends as every row does, and the encoder's own marks are set by the
network. A user who types `[SEP]` gets what the tokenizer makes of it as ordinary text, and the
unknown token where it insists on the mark.

The file may come from anyone, and the library may abort the whole process on what it does not
expect, or let a few rules blow a line up to gigabytes. So it is read by a list of what encoders
use, and anything else is refused.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

from tokenizers import Tokenizer as LibraryTokenizer

from penstock.errors import DataError
from penstock.json_types import is_array, is_object
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
_SAFE_PATTERNS = (" {2,}",)  # a regular expression of a stranger can take for ever
_MOST_PARTS = 16
_KNOWN_UNKNOWNS = ("[UNK]", "<unk>")
_PROBE = "a"


@dataclass(frozen=True, slots=True)
class OwnTokens:
    """The encoder's own marks, by its ids.

    Attributes:
        first: begins every input of it ([CLS], <s>).
        last: ends it ([SEP], </s>); our EOS.
        unknown: our UNK; where the tokenizer has no such token, `last`.
    """

    first: int
    last: int
    unknown: int


@final
class PretrainedTokens:
    """A library tokenizer with its marks: text to our ids and back.

    Attributes:
        library: the tokenizer; it sets no marks itself.
        own: the encoder's marks.
        size: number of our ids, the reserved ones included.
    """

    def __init__(self, library: LibraryTokenizer, own: OwnTokens) -> None:
        self.library = library
        self.own = own
        vocabulary = library.get_vocab(with_added_tokens=True)
        self.size = len(RESERVED) + max(vocabulary.values()) + 1
        marks = {i for i, t in library.get_added_tokens_decoder().items() if t.special}
        self._unreachable = marks | {own.first, own.last, own.unknown}

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
            own = _own_tokens(content)
            return cls(build(content), own)
        except ValueError as error:
            raise DataError(f"{error}; choose another encoder", path=path) from None

    @classmethod
    def from_parts(cls, content: Any, own: Any) -> Self:
        """What was stored: the library's JSON and the marks.

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
        return cls(library, OwnTokens(*ids))

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Our ids of each text, without marks."""
        with _library_errors("the encoder's tokenizer failed on a text", DataError):
            encodings = self.library.encode_batch_fast(list(texts), add_special_tokens=False)
        return [
            [UNK_ID if i in self._unreachable else i + len(RESERVED) for i in encoding.ids]
            for encoding in encodings
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """Text as near to the original as the tokenizer's own decoder comes."""
        kept = [i - len(RESERVED) for i in ids if i >= len(RESERVED)]
        with _library_errors("the encoder's tokenizer failed on its ids", DataError):
            return self.library.decode(kept)

    def symbols(self) -> list[str]:
        """Every id's token as the tokenizer writes it; empty for an id that it does not use."""
        own = [self.library.id_to_token(i) or "" for i in range(self.size - len(RESERVED))]
        return [*RESERVED, *own]


def build(content: Any) -> LibraryTokenizer:
    """The library's tokenizer of a `tokenizer.json`, without the parts that set marks, cut or pad.

    Raises:
        ValueError: a part that no encoder needs, or damage.
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
def _library_errors(what: str, kind: type[Exception] = ValueError) -> Generator[None]:
    """The library raises bare exceptions, and its panics are no `Exception` at all."""
    try:
        yield
    except BaseException as error:
        if type(error) is Exception or type(error).__name__ == "PanicException":
            raise kind(f"{what}: {error}") from None
        raise


def _own_tokens(content: dict[str, Any]) -> OwnTokens:
    """The marks, from what the file's own post-processor does with texts."""
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
    candidates = (unknown, *_KNOWN_UNKNOWNS) if unknown else _KNOWN_UNKNOWNS
    ids = [i for token in candidates if (i := library.token_to_id(token)) is not None]
    return OwnTokens(marked[0], marked[-1], ids[0] if ids else marked[-1])


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
    """Tokens that the tokenizer has beside its model's."""
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
        if not is_array(steps) or len(steps) > _MOST_PARTS:
            raise ValueError(f"its {name} is not a list of at most {_MOST_PARTS} steps")
    kinds = [step.get("type") if is_object(step) else None for step in steps]
    if kinds.count("Precompiled") > 1:
        raise ValueError(f"its {name} has several tables of characters")
    for kind, step in zip(kinds, steps, strict=True):
        if kind not in known:
            raise ValueError(f"its {name} {kind!r} is not one that encoders use")
        if kind in ("Replace", "Prepend") and name != "decoder":
            _refuse_growth(step, name)
        if kind == "Replace":
            _refuse_strange_pattern(step, name)
    return part


def _refuse_growth(step: dict[str, Any], name: str) -> None:
    """A few rules that each make a text longer make it endless together."""
    new = step.get("prepend") if step["type"] == "Prepend" else step.get("content")
    pattern = step.get("pattern")
    old = pattern.get("String", " ") if is_object(pattern) else " "
    if not isinstance(new, str) or not isinstance(old, str) or len(new) > max(len(old), 1):
        raise ValueError(f"its {name} {step['type']!r} makes texts longer")


def _refuse_strange_pattern(step: dict[str, Any], name: str) -> None:
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
    highest = 2 * len(ids) + 1024  # some vocabularies have gaps; a table has a row for each id
    if not all(type(i) is int and 0 <= i < highest for i in ids) or len(set(ids)) < len(ids):
        raise ValueError("damaged tokenizer: its ids are not different small numbers")
    unknown = model.get("unk_token")
    if unknown is not None and unknown not in vocabulary:
        raise ValueError(f"damaged tokenizer: its unknown token {unknown!r} has no id")
    if kind == "BPE":
        if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
            raise ValueError("its BPE model marks parts of words, which encoders do not")
        _check_merges(model.get("merges"), vocabulary)
        return model | {"dropout": None}  # at random, a text would have other tokens each time
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
