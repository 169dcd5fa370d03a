"""Preprocessing against the book's defects; tokenizers by round trip and hostile input."""

from __future__ import annotations

import contextlib
import doctest
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from penstock.config import TOKENIZERS, TokenizerConfig
from penstock.errors import BundleError, ConfigError, DataError
from penstock.text import (
    BOS_ID,
    EOS_ID,
    PAD_ID,
    RESERVED,
    UNK_ID,
    Tokenizer,
    normalize,
    preprocess,
    rejoin,
)
from penstock.text.pieces import byte_alphabet

KINDS = tuple(TOKENIZERS)
BYTE_LEVEL = ("bpe", "unigram")
CORPUS = [
    "The cat sat on the mat.",
    "The dog saw the cat, and the cat saw the dog!",
    "L'homme d'à côté n'a pas vu le chat.",
    "L'été, l'homme voit le chat et le chat voit l'homme.",
    "Did the dog see 3.14 cats? It didn't.",
    "Le chien a vu 42 chats : un, deux, trois.",
]
MULTI30K = Path(__file__).parents[3] / "shared/data/multi30k/val.de.gz"

# everything Python can hold and UTF-8 can write, with what tokenizers stumble over made likely
characters = st.characters(exclude_categories=["Cs"])
unusual = ["<eos>", "<pad>", "<unk>", "e\u0301", "\u0301", "❤️", "👩‍🚀", "שלום", "3.14", "l'", "’"]
unseen = [" ", "  ", "\t", "\n", "\r\n", "\x00", "\u0085", "\u00a0", "\u2028", "\u200b", "\ufffd"]
awkward = st.sampled_from([*unusual, *unseen, "▁", "Ġ"])
texts = st.lists(st.one_of(characters, awkward), max_size=20).map("".join)


def train(kind: str, corpus: list[str] = CORPUS, **options: Any) -> Tokenizer:
    config: dict[str, Any] = {"vocab_size": 400, "min_frequency": 1} | options
    return Tokenizer.train(iter(corpus), TokenizerConfig(kind=kind, **config))


TRAINED = {kind: train(kind) for kind in KINDS}


# preprocessing


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Va !", "va !"),
        ("Go.", "go ."),
        ("Va\u202f!\u00a0Cours\u202f!", "va ! cours !"),
        ("Wait... what?!", "wait . . . what ? !"),
        ("a,b", "a ,b"),
        ("", ""),
        (".", "."),
        ("So do I.", "so do i ."),
    ],
)
def test_preprocessing_is_the_books(raw: str, clean: str) -> None:
    assert preprocess(raw) == clean
    assert _book_preprocess(raw) == clean


def _book_preprocess(text: str) -> str:
    text = text.replace("\u202f", " ").replace("\xa0", " ").lower()
    out = [
        " " + char if i > 0 and char in set(",.!?") and text[i - 1] != " " else char
        for i, char in enumerate(text)
    ]
    return "".join(out)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("It is 3.14, or 1,000.5.", "it is 3.14 , or 1,000.5 ."),
        ("In 1,2,3.", "in 1,2,3 ."),
        ("the U.S.A., e.g. J.K. R.", "the u.s.a. , e.g. j.k. r ."),
        ("1\u2009000\u2007km", "1 000 km"),
        ("in\u200bvi\u00adsi\ufeffble", "invisible"),
        ("l’homme", "l'homme"),
        ("e\u0301te\u0301", "été"),
        ("now\t!", "now\t!"),
    ],
)
def test_preprocessing_mends_the_books_defects(raw: str, clean: str) -> None:
    assert preprocess(raw) == clean
    assert _book_preprocess(raw) != clean


@given(st.one_of(texts, st.text("aU.,3! \u0301\u200b")))
def test_preprocessing_twice_changes_nothing(text: str) -> None:
    assert preprocess(preprocess(text)) == preprocess(text)


@given(st.lists(st.sampled_from(["un", "3.14", "u.s.a.", ",", "!", "?", "l'eau"])).map(" ".join))
def test_rejoining_is_undone_by_preprocessing(text: str) -> None:
    assert preprocess(rejoin(text)).split() == text.split()


def test_docstring_examples_run() -> None:
    assert doctest.testmod(normalize).failed == 0


# round trips


@pytest.mark.parametrize("kind", BYTE_LEVEL)
@given(text=texts)
def test_byte_level_round_trip_is_exact_for_every_string(kind: str, text: str) -> None:
    ids = TRAINED[kind].encode(text)
    assert TRAINED[kind].decode(ids) == text
    assert all(index >= len(RESERVED) for index in ids)


@given(st.text(alphabet=sorted({character for line in CORPUS for character in line})))
def test_char_round_trip_is_exact_for_known_characters(text: str) -> None:
    ids = TRAINED["char"].encode(text)
    assert TRAINED["char"].decode(ids) == text
    assert len(ids) == len(text)


@given(st.lists(st.text(characters), min_size=1), st.sampled_from([" ", "|", "||", "\t", "<eos>"]))
def test_separator_round_trip_is_exact(tokens: list[str], separator: str) -> None:
    text = separator.join(tokens)
    if not text:
        return
    tokenizer = train("separator", [text], separator=separator)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.tokens(ids) == text.split(separator)
    assert all(index >= len(RESERVED) for index in ids)


@pytest.mark.parametrize("line", CORPUS)
def test_word_round_trip_loses_case_and_spaces_before_marks_only(line: str) -> None:
    tokenizer = TRAINED["word"]
    assert tokenizer.decode(tokenizer.encode(line)) == line.lower()


@given(st.one_of(texts, st.text("au.,3! \u0301\u200b")))
@example("a.u.a .")
def test_word_decoding_encodes_to_the_same_ids(text: str) -> None:
    tokenizer = train("word", [text, "fill"])
    ids = tokenizer.encode(text)
    assert tokenizer.encode(tokenizer.decode(ids)) == ids


@pytest.mark.parametrize("kind", KINDS)
def test_empty_text_has_no_ids(kind: str) -> None:
    assert TRAINED[kind].encode("") == []
    assert TRAINED[kind].decode([]) == ""


@pytest.mark.parametrize("kind", KINDS)
@given(batch=st.lists(texts, max_size=5))
def test_a_batch_is_its_texts_one_by_one(kind: str, batch: list[str]) -> None:
    tokenizer = TRAINED[kind]
    assert tokenizer.encode_batch(batch) == [tokenizer.encode(text) for text in batch]


# what becomes a token


def test_separated_tokens_are_kept_as_they_are() -> None:
    tokenizer = train("separator", ["b ɔ̃ ʒ u ʁ", "s a l y"])
    ids = tokenizer.encode("s ɔ̃ ʁ x")
    assert tokenizer.tokens(ids) == ["s", "ɔ̃", "ʁ", "<unk>"]
    assert tokenizer.decode(ids) == "s ɔ̃ ʁ <unk>"
    assert tokenizer.decode(ids, skip_unknown=True) == "s ɔ̃ ʁ"


def test_words_rarer_than_the_minimum_are_unknown() -> None:
    tokenizer = train("word", ["a a b", "b c"], min_frequency=2)
    assert tokenizer.vocabulary() == [*RESERVED, "a", "b"]
    assert tokenizer.decode(tokenizer.encode("A b c!")) == "a b <unk> <unk>"


def test_the_vocabulary_size_keeps_the_most_frequent() -> None:
    tokenizer = train("char", ["aaabbcddddee"], vocab_size=8)
    assert tokenizer.vocabulary() == [*RESERVED, "d", "a", "b", "e"]
    assert tokenizer.vocab_size == 8


@pytest.mark.parametrize("kind", BYTE_LEVEL)
def test_merges_stop_at_elisions_digits_and_words(kind: str) -> None:
    tokenizer = train(kind, ["l'homme a 1234 ans"] * 50)
    tokens = tokenizer.tokens(tokenizer.encode("l'homme a 1234 ans"))
    assert "".join(tokens) == "▁l'homme▁a▁1234▁ans"
    if kind == "bpe":
        assert tokens == ["▁l'", "homme", "▁a", "▁1", "2", "3", "4", "▁ans"]


def test_tokens_show_bytes_as_readable_text() -> None:
    tokenizer = train("bpe", ["été " * 5])
    assert tokenizer.tokens(tokenizer.encode("été à")) == ["▁été", "▁", "\\xc3", "\\xa0"]
    assert TRAINED["char"].tokens(TRAINED["char"].encode("a t")) == ["a", "▁", "t"]


@pytest.mark.parametrize("kind", KINDS)
def test_reserved_ids_are_not_shown_but_for_unknown(kind: str) -> None:
    tokenizer = TRAINED[kind]
    assert tokenizer.tokens([PAD_ID, UNK_ID, BOS_ID, EOS_ID]) == list(RESERVED)
    assert tokenizer.decode([BOS_ID, UNK_ID, EOS_ID, PAD_ID, PAD_ID]) == "<unk>"
    assert tokenizer.decode([BOS_ID, UNK_ID, EOS_ID], skip_unknown=True) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_the_vocabulary_lists_every_id(kind: str) -> None:
    tokenizer = TRAINED[kind]
    assert len(tokenizer.vocabulary()) == tokenizer.vocab_size
    assert tokenizer.vocabulary()[:4] == list(RESERVED)


def test_half_a_character_from_a_model_is_decoded_visibly() -> None:
    first_byte = TRAINED["bpe"].encode("☃")[1]  # the leading space, then three bytes
    assert TRAINED["bpe"].decode([first_byte]) == "\ufffd"


def test_the_byte_alphabet_is_the_librarys() -> None:
    assert sorted(byte_alphabet()) == sorted(pre_tokenizers.ByteLevel.alphabet())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    written = "".join(piece for piece, _ in level.pre_tokenize_str("\x00 aé☃\u00ad"))
    assert written == "".join(byte_alphabet()[byte] for byte in "\x00 aé☃\u00ad".encode())


# hostile text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reserved", RESERVED)
@pytest.mark.parametrize("seen_in_training", [False, True])
def test_reserved_tokens_typed_by_a_user_are_ordinary_text(
    kind: str, reserved: str, *, seen_in_training: bool
) -> None:
    lines = [*CORPUS, f"{reserved} the {reserved}"] if seen_in_training else CORPUS
    tokenizer = train(kind, lines)
    for text in (reserved, f"the {reserved} cat", f"the{reserved}cat"):
        ids = tokenizer.encode(text)
        assert not {PAD_ID, BOS_ID, EOS_ID} & set(ids)
        if kind in BYTE_LEVEL or (seen_in_training and text == reserved):
            assert UNK_ID not in ids
            assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("kind", KINDS)
def test_a_lone_surrogate_is_refused(kind: str) -> None:
    message = r"lone surrogate U\+D800 at character 3, .* decode the input as UTF-8"
    with pytest.raises(DataError, match=message):
        TRAINED[kind].encode("ab\ud800c")
    with pytest.raises(DataError, match=message):
        train(kind, ["ab\ud800c"])


# training


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "corpus",
    [CORPUS, [f"{a}{b}{c} {c}{b}" for a in "abcd" for b in "abcd" for c in "abcd"]],
    ids=["text", "ties"],
)
def test_training_twice_gives_the_same_bytes(kind: str, corpus: list[str]) -> None:
    first = train(kind, corpus, vocab_size=300).to_json()
    assert all(train(kind, corpus, vocab_size=300).to_json() == first for _ in range(4))


@pytest.mark.skipif(not MULTI30K.exists(), reason="needs ../shared/data/multi30k")
@pytest.mark.parametrize("kind", KINDS)
def test_training_on_real_text(kind: str) -> None:
    with gzip.open(MULTI30K, "rt", encoding="utf-8", newline="\n") as file:
        lines = [line.rstrip("\n") for line in file]
    tokenizer = train(kind, lines, vocab_size=2000)
    assert train(kind, lines, vocab_size=2000).to_json() == tokenizer.to_json()
    assert tokenizer.vocab_size <= 2000
    if kind in (*BYTE_LEVEL, "char"):
        assert [tokenizer.decode(ids) for ids in tokenizer.encode_batch(lines)] == lines


@pytest.mark.parametrize("kind", BYTE_LEVEL)
def test_a_vocabulary_too_small_for_the_bytes_is_refused(kind: str) -> None:
    message = f"vocab_size 259 is too small for kind '{kind}': .* need at least 260"
    with pytest.raises(ConfigError, match=message):
        train(kind, vocab_size=259)
    tokenizer = train(kind, vocab_size=260)
    assert tokenizer.vocab_size == 260
    assert tokenizer.decode(tokenizer.encode("ça va ?")) == "ça va ?"


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_of_the_stream_stops_training(kind: str) -> None:
    def lines() -> Iterator[str]:
        yield from CORPUS
        raise DataError("expected 2 columns, found 3", path="train.tsv", line=7)

    with pytest.raises(DataError, match=r"train\.tsv, line 7: expected 2 columns, found 3"):
        Tokenizer.train(lines(), TokenizerConfig.model_validate({"kind": kind}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("corpus", [[], ["", ""]])
def test_nothing_to_learn_from_is_refused(kind: str, corpus: list[str]) -> None:
    with pytest.raises(DataError, match="no training text for the tokenizer; check that"):
        train(kind, corpus)


def test_no_word_frequent_enough_is_refused() -> None:
    message = "none of the 3 distinct tokens of the training text occurs 2 times; lower min_freq"
    with pytest.raises(DataError, match=message):
        train("word", ["one line only"], min_frequency=2)


@pytest.mark.parametrize("kind", KINDS)
def test_one_sentence_is_enough_where_it_is_repeated(kind: str) -> None:
    tokenizer = train(kind, ["un chat."] * 5, min_frequency=2)
    assert tokenizer.decode(tokenizer.encode("un chat.")) == "un chat."


# saving and loading


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_tokenizer_loads_equal(kind: str, tmp_path: Path) -> None:
    tokenizer = train(kind, separator="|")
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    assert loaded.to_json() == tokenizer.to_json()
    assert (loaded.kind, loaded.separator, loaded.vocab_size) == (kind, "|", tokenizer.vocab_size)
    assert loaded.vocabulary() == tokenizer.vocabulary()
    lines = [*CORPUS, "<eos>", "never|seen ☃"]
    assert loaded.encode_batch(lines) == tokenizer.encode_batch(lines)


def edited(kind: str, **changes) -> str:
    """The JSON of a trained tokenizer with `part__key=value` changes."""
    content = json.loads(TRAINED[kind].to_json())
    for path, value in changes.items():
        *parts, key = path.split("__")
        inner = content
        for part in parts:
            inner = inner[part]
        inner[key] = value
    return json.dumps(content)


SURROGATE = {token: index for index, token in enumerate([*RESERVED, "\ud800"])}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expecting value"),
        (TRAINED["bpe"].to_json()[:1000], "Expecting"),
        ("[" * 100_000, "recursion"),
        ("[1, 2]", "not a penstock tokenizer: its JSON lacks 'penstock' and 'tokenizer'"),
        ('{"version": "1.0", "model": {}}', "not a penstock tokenizer: its JSON lacks"),
        (edited("bpe", penstock__format=3), r"format 3 is newer than .* \(2\): upgrade penstock"),
        (edited("bpe", penstock__format="1"), "tokenizer format '1' is not a format number"),
        (
            edited("bpe", penstock__kind="morse"),
            "unknown tokenizer kind 'morse'; known: 'word', 'c",
        ),
        (edited("bpe", penstock__kind="bpee"), "unknown tokenizer kind 'bpee'; did you mean 'bpe'"),
        (edited("bpe", penstock__kind=["bpe"]), r"tokenizer kind \['bpe'\] is not a name"),
        (edited("bpe", penstock__separator=""), "separator '' is not a non-empty string"),
        (edited("bpe", penstock__kind="word"), "kind 'word' needs a WordLevel model, found 'BPE'"),
        (edited("bpe", tokenizer__model=None), "kind 'bpe' needs a BPE model, found None"),
        (edited("word", tokenizer__normalizer={"type": "NFC"}), "a foreign part 'normalizer'"),
        (edited("word", tokenizer__model__vocab=[]), "its vocabulary is not tokens with ids"),
        (edited("word", tokenizer__model__vocab={"a": 0.5}), "vocabulary is not tokens with ids"),
        (edited("word", tokenizer__model__vocab={"<unk>": 7}), "ids are not 0, 1, 2, ... without"),
        (
            edited("char", tokenizer__model__vocab={"<unk>": 0, "a ": 1}),
            "damaged tokenizer: ids 0 to 3 are not <pad> <unk> <bos> <eos>",
        ),
        (edited("bpe", tokenizer__model__merges=[["zz", "zz"]]), "merges are not pairs of its tok"),
        (edited("bpe", tokenizer__model__merges=None), "its merges are not pairs of its tokens"),
        (edited("bpe", tokenizer__model__vocab__é=260), "ids are not 0, 1, 2, ... without gaps"),
        (
            edited("bpe", tokenizer__model__vocab__日=TRAINED["bpe"].vocab_size),
            "a token is not written in bytes",
        ),
        (edited("char", tokenizer__model__vocab=SURROGATE), r"the token '\\ud800' is not text"),
        (edited("unigram", tokenizer__model__vocab=[["a", None]]), "is not pieces with scores"),
        (
            edited("unigram", tokenizer__model__vocab=[[token, 0.0] for token in RESERVED]),
            "damaged tokenizer: its vocabulary lacks some of the 256 bytes",
        ),
    ],
)
def test_damaged_and_foreign_json_is_refused(text: str, message: str) -> None:
    pattern = f"^model/source.json: .*{message}.*; restore the file from its source or train again"
    with pytest.raises(BundleError, match=pattern):
        Tokenizer.from_json(text, place="model/source.json")


@given(st.data())
def test_no_cut_or_altered_json_escapes_the_error_tree(data: st.DataObject) -> None:
    text = TRAINED[data.draw(st.sampled_from(KINDS))].to_json()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    altered = text[:start] + data.draw(st.text('{}[]",:0-9e<a Ġ', max_size=5)) + text[end:]
    with contextlib.suppress(BundleError):
        Tokenizer.from_json(altered).encode("the cat <eos>")


@pytest.mark.parametrize("kind", KINDS)
def test_options_of_the_model_that_are_not_ours_have_no_effect(kind: str) -> None:
    # some of these abort the whole process inside the library if they reach it
    options: dict[str, Any] = {"dropout": 0.9, "continuing_subword_prefix": "x", "unk_id": 10**6}
    hostile = {f"tokenizer__model__{name}": value for name, value in options.items()}
    tokenizer = Tokenizer.from_json(edited(kind, **hostile))
    assert tokenizer.to_json() == TRAINED[kind].to_json()


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"none\.json: cannot read the tokenizer: No such file"):
        Tokenizer.load(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\x80\x00\xff")
    with pytest.raises(BundleError, match=r"binary\.json: not a text file; restore the file"):
        Tokenizer.load(tmp_path / "binary.json")


# forks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_workers_tokenize_without_a_warning(tmp_path: Path) -> None:
    TRAINED["bpe"].save(tmp_path / "t.json")
    program = (
        "import os, sys\n"
        "from penstock.text import Tokenizer\n"
        "t = Tokenizer.load(sys.argv[1])\n"
        "lines = ['the cat'] * 100\n"
        "ids = t.encode_batch(lines)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if t.encode_batch(lines) == ids else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert 'TOKENIZERS_PARALLELISM' not in os.environ\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "TOKENIZERS_PARALLELISM"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "t.json")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- extension ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20)
@given(text=texts)
@example("日本語 the cat — naïve 日本")
def test_an_extended_tokenizer_knows_the_text_and_encodes_others_as_before(
    kind: str, text: str
) -> None:
    tokenizer = TRAINED[kind]
    missing = tokenizer.missing([text, "the"])
    extended = tokenizer.extended(sorted(missing))
    assert [extended.encode(line) for line in CORPUS] == [tokenizer.encode(x) for x in CORPUS]
    assert not extended.missing([text])
    assert UNK_ID not in extended.encode(text)
    assert extended.vocabulary()[: tokenizer.vocab_size] == tokenizer.vocabulary()
    if kind != "word":
        assert extended.decode(extended.encode(text)) == text
    assert Tokenizer.from_json(extended.to_json()).to_json() == extended.to_json()


def test_characters_spelled_in_bytes_become_tokens() -> None:
    for kind in BYTE_LEVEL:
        extended = TRAINED[kind].extended(["語", "日"])
        assert extended.tokens(extended.encode("a日語"))[-2:] == ["日", "語"]
