"""Word vectors: every format against files written here, every message, and the lookup."""

from __future__ import annotations

import gzip
import lzma
import pickle
import struct
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config import TokenizerConfig
from penstock.data.word_vectors.initial_vectors import WordVectors, read_vectors
from penstock.errors import DataError
from penstock.text import UNK_ID, Tokenizer

Write = Callable[[str, str | bytes], Path]
Table = dict[str, list[float]]

RESERVED: list[str | None] = [None] * 4
TABLE: Table = {
    "the": [0.5, -0.25, 1.0],
    "été": [1e-3, 2.0, -3.5],
    "日本": [0.0, 0.125, -7.0],
    "Paris": [4.0, 5.0, 6.0],
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def as_text(table: Table, *, header: bool = True, end: str = "\n") -> str:
    size = len(next(iter(table.values())))
    lines = [f"{len(table)} {size}"] if header else []
    lines += [f"{word} {' '.join(map(repr, vector))}" for word, vector in table.items()]
    return "".join(line + end for line in lines)


def as_word2vec(table: Table, *, newline: bytes = b"\n") -> bytes:
    size = len(next(iter(table.values())))
    entries = [
        word.encode() + b" " + struct.pack(f"<{size}f", *vector) + newline
        for word, vector in table.items()
    ]
    return f"{len(table)} {size}\n".encode() + b"".join(entries)


def read(path: Path, words: Sequence[str | None], size: int = 3) -> WordVectors:
    return read_vectors(path, [*RESERVED, *words], size=size)


def found(path: Path, words: Sequence[str | None], size: int = 3) -> dict[str | None, list[float]]:
    vectors = read(path, words, size)
    return {
        words[index - 4]: row.tolist()
        for index, row in zip(vectors.index, vectors.matrix, strict=True)
    }


def as_floats(table: Table) -> Table:
    return {word: np.array(vector, np.float32).tolist() for word, vector in table.items()}


# --- formats ------------------------------------------------------------------------------------

FORMATS: dict[str, str | bytes] = {
    "word2vec text": as_text(TABLE),
    "fastText .vec": as_text(TABLE, end=" \n"),
    "Windows line ends": as_text(TABLE, end="\r\n"),
    "tabs": as_text(TABLE).replace(" ", "\t"),
    "GloVe": as_text(TABLE, header=False),
    "no last newline": as_text(TABLE, header=False).removesuffix("\n"),
    "word2vec binary": as_word2vec(TABLE),
    "word2vec binary of gensim": as_word2vec(TABLE, newline=b""),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("suffix", ["vec", "bin", "txt.gz", "txt.xz", "bin.zst"])
def test_formats_are_known_by_content(write: Write, name: str, suffix: str) -> None:
    content = FORMATS[name]
    raw = content.encode() if isinstance(content, str) else content
    packed = {
        "gz": gzip.compress,
        "xz": lzma.compress,
        "zst": lambda data: pyarrow.compress(data, codec="zstd", asbytes=True),
    }
    path = write(f"v.{suffix}", packed.get(suffix[-3:].lstrip("."), bytes)(raw))
    assert found(path, [*TABLE, "absent"]) == as_floats(TABLE)


vectors_of_three = st.lists(st.floats(-(2.0**90), 2.0**90, width=32), min_size=3, max_size=3)
plain_words = st.text(
    st.characters(codec="utf-8", exclude_characters=" \t\n\r\0"), min_size=1, max_size=12
)


@given(st.dictionaries(plain_words, vectors_of_three, min_size=1, max_size=20))
def test_text_and_binary_give_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, table: Table
) -> None:
    folder = tmp_path_factory.mktemp("vectors")
    for name, content in (("t", as_text(table).encode()), ("b", as_word2vec(table))):
        (folder / name).write_bytes(content)
        assert found(folder / name, list(table)) == as_floats(table)


def test_glove_tokens_with_spaces(write: Write) -> None:
    path = write("g.txt", "the 1 2 3\n. . . 4 5 6\nat name@domain.com 7 8 9\n")
    table = found(path, ["the", ". . .", "at name@domain.com", "at"])
    assert table == {"the": [1, 2, 3], ". . .": [4, 5, 6], "at name@domain.com": [7, 8, 9]}


def test_words_are_split_at_plain_spaces_only(write: Write) -> None:
    odd = "a\u00a0b\u2028c\u3000d\x85"
    assert found(write("v.vec", f"1 3\n{odd} 1 2 3\n"), [odd]) == {odd: [1, 2, 3]}


def test_only_wanted_vectors_are_in_memory(write: Write) -> None:
    rows = "".join(f"w{i} {' '.join(['0.25'] * 300)}\n" for i in range(20_000))
    path = write("v.vec.gz", gzip.compress(f"20000 300\n{rows}".encode(), compresslevel=1))
    tracemalloc.start()
    vectors = read(path, ["w7", "w19999"], size=300)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(vectors.index) == 2
    assert peak < 4 * 2**20 < 20_000 * 300 * 4 / 5


# --- lookup and coverage ------------------------------------------------------------------------


def test_exact_wins_over_lower_case_whatever_stands_first(write: Write) -> None:
    path = write("v.vec", as_text({"paris": [1, 1, 1], "Paris": [2, 2, 2], "rome": [3, 3, 3]}))
    vectors = read(path, ["Paris", "Rome", "paris", "Oslo"])
    assert vectors.index.tolist() == [4, 5, 6]
    assert vectors.matches == ("exact", "lower", "exact")
    assert vectors.matrix[:, 0].tolist() == [2, 3, 1]
    assert vectors.name == "v.vec"
    assert vectors.ways == "2 exactly, 1 in lower case"


def test_coverage_counts_types_and_running_text(write: Write) -> None:
    vectors = read(write("v.vec", as_text(TABLE)), ["the", "cat", "été", "sat"])
    #        pad unk bos eos  the cat été sat
    counts = [50, 10, 20, 20, 60, 20, 5, 5]
    coverage = vectors.coverage(counts)
    assert (coverage.found, coverage.types) == (2, 4)
    assert (coverage.found_running, coverage.running) == (65, 100)
    assert counts[UNK_ID] == 10
    assert str(coverage) == "2 of 4 tokens of the vocabulary (50.0%), 65.0% of the running text"


def test_a_word_twice_and_a_word_that_is_not_utf8(write: Write) -> None:
    notes = (
        "v.vec: 1 words of the vocabulary are repeated; the first vector of each counts",
        "v.vec: 1 of its words are not UTF-8 text and were left out",
    )
    entries = [
        (b"the", (1, 2, 3)),
        (b"\xe9t\xe9", (4, 5, 6)),
        (b"the", (7, 8, 9)),
        (b"cat", (1, 1, 1)),
    ]
    text = b"".join(b"%s %d %d %d\n" % (word, *vector) for word, vector in entries)
    binary = b"".join(word + b" " + struct.pack("<3f", *vector) for word, vector in entries)
    for content in (b"4 3\n" + text, text, b"4 3\n" + binary):
        vectors = read(write("v.vec", content), ["the", "cat"])
        assert vectors.matrix[0].tolist() == [1, 2, 3]
        assert vectors.notes == notes


def test_words_of_each_kind_of_tokenizer() -> None:
    texts = ["the cat sat, the cat's été 12"] * 3

    def words(kind: str) -> list[str | None]:
        config = TokenizerConfig.model_validate({"kind": kind, "vocab_size": 320})
        tokenizer = Tokenizer.train(texts, config)
        assert len(tokenizer.words()) == tokenizer.vocab_size
        assert tokenizer.words()[:4] == RESERVED
        return tokenizer.words()

    assert {"the", "cat", "sat", ",", "été", "12"} <= set(words("word"))
    assert {"sat,", "cat's", "été"} <= set(words("separator"))
    assert set("thecas,'é12") <= set(words("char"))
    pieces = words("bpe")
    assert {"the", "cat", "été", ",", "1"} <= set(pieces)
    assert "h" not in pieces, "a letter without a space before it is a part of a word"


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("2 300\nthe 1 2 3\n", r"v, line 1: vectors of 300 numbers, but model\.embedding_size is "
                               r"3; set model\.embedding_size = 300"),
        ("the 1 2\ncat 1 2\n", "v, line 1: vectors of 2 numbers, but .* is 3; set .* = 2"),
        ("2 3\nthe 1 2 3\ncat 1 2\n", "v, line 3: expected a word and 3 numbers, found 2; the fi"),
        ("the 1 2 3\ncat 1 2 3 4\n", "v, line 2: expected a word and 3 numbers, found 4"),
        ("the 1 2 3\n\ncat 1 2 3\n", "v, line 2: expected a word and 3 numbers, found 0"),
        ("the 1 2 3\ncat 1 x 3\n", r"v, line 2: 'x' in the vector of 'cat' is not a number"),
        ("the 1 2 3\ncat 1 2_0 3\n", r"v, line 2: '2_0' in the vector of 'cat' is not a number"),
        ("the 1 2 3\ncat 1 nan 3\n", r"v, line 2: the vector of 'cat' has nan as its number 2; re"),
        ("the 1 2 3\ncat 1 2 1e99\n", r"v, line 2: the vector of 'cat' has 1e\+99 as its number 3"),
        ("3 3\nthe 1 2 3\n", "v: the header says 3 words, found 1: the file is cut short; fetch"),
        ("1 3\nthe 1 2 3\ncat 1 2 3\n", "v: the header says 1 words, found 2: more follow; .*"
                                        "correct its first line"),
        ("0 3\n", "v, line 1: the header says 0 words of 3 numbers: nothing to read"),
        ("", "v: the file is empty; expected 'count size' or a word and its numbers"),
        ("Hello world\n", "v, line 1: not a file of word vectors: found 'Hello world'; expected"),
        (b"\x00\x01\x02", "v, line 1: not a file of word vectors; expected 'count size'"),
        (pickle.dumps({}), "v: this is a pickle, which is never read"),
        (gzip.compress(b"the 1 2 3\n", mtime=0), r"v: this is gzip data; .* the suffix \.gz"),
        (b"\x93NUMPY\x01", "v: this is a NumPy array: it has no words"),
        (as_word2vec(TABLE)[:-5], "v: the file ends at byte 74 inside word 4 of 4: it is cut sho"),
        (as_word2vec(TABLE)[:30], "v: the file ends at byte 30 inside word 2 of 4: it is cut sho"),
        (as_word2vec(TABLE).replace(b"4 3", b"3 3", 1), "v: the header says 3 words, more follow"),
        (as_word2vec(TABLE).replace(b"4 3", b"5 3", 1), "the file ends .* inside word 5 of 5"),
        (as_word2vec(TABLE).replace(b"4 3", b"4 9", 1), "v, line 1: vectors of 9 numbers"),
        (as_word2vec({"cat": [0, float("inf"), 0]}), "v: the vector of 'cat' has inf as its num"),
        (b"1 3\n" + b"\0" * 2**17, "v: word 1 of 1 at byte 4 is longer than 65,536 bytes"),
        ("dog 1 2 3\n", r"v: none of the 2 words of the vocabulary is in it; check .* language"),
    ],
)  # fmt: skip
def test_each_fault_has_its_message(write: Write, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(write("v", content), ["the", "cat"])


def test_files_that_cannot_be_opened(tmp_path: Path, write: Write) -> None:
    for name in ("gone.vec", "gone.vec.gz"):
        with pytest.raises(DataError, match=f"{name}: no such file; check the path"):
            read(tmp_path / name, ["the"])
    with pytest.raises(DataError, match="is a directory; name a file"):
        read(tmp_path, ["the"])
    with pytest.raises(DataError, match="-: vectors are read from a file; give its path"):
        read(Path("-"), ["the"])
    packed = gzip.compress(as_word2vec({f"w{i}": [i, i, i] for i in range(9000)}))
    with pytest.raises(DataError, match="the compressed data are cut short"):
        read(write("v.bin.gz", packed[:-100]), ["the"])


# --- fastText's model ---------------------------------------------------------------------------


def fnv1a(ngram: str) -> int:
    """32-bit FNV-1a over signed bytes, in NumPy's wrapping integers."""
    value = np.uint32(2166136261)
    with np.errstate(over="ignore"):
        for byte in np.frombuffer(ngram.encode(), np.int8):
            value = np.uint32(value ^ np.uint32(np.int32(byte).view(np.uint32)))
            value = np.uint32(value * np.uint32(16777619))
    return int(value)


class Model:
    """A fastText model as its program writes it, and the vector of a word by definition."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        size: int = 3,
        bucket: int = 50,
        shortest: int = 3,
        longest: int = 6,
        labels: Sequence[str] = (),
        version: int = 12,
        kind: int = 2,
    ) -> None:
        self.words, self.labels, self.size, self.bucket = list(words), list(labels), size, bucket
        self.shortest, self.longest, self.version, self.kind = shortest, longest, version, kind
        rows = len(self.words) + bucket
        self.matrix = np.random.default_rng(1).normal(size=(rows, size)).astype(np.float32)

    def write(self, *, quantised: bytes = b"\0") -> bytes:
        settings = (self.size, 5, 5, 1, 5, 1, 2, self.kind, self.bucket, self.shortest,
                    self.longest, 100)  # fmt: skip
        content = struct.pack("<2i12id", 793712314, self.version, *settings, 1e-4)
        entries = [(word, 0) for word in self.words] + [(label, 1) for label in self.labels]
        content += struct.pack("<3i2q", len(entries), len(self.words), len(self.labels), 99, -1)
        for text, kind in entries:
            content += text.encode() + b"\0" + struct.pack("<qb", 7, kind)
        content += quantised + struct.pack("<2q", *self.matrix.shape) + self.matrix.tobytes()
        return content + b"\0" + struct.pack("<2q", 0, self.size)

    def ngrams(self, word: str) -> list[str]:
        marked = f"<{word}>"
        pieces = [
            marked[start:end]
            for start in range(len(marked))
            for end in range(start + 1, len(marked) + 1)
            if self.shortest <= end - start <= self.longest
        ]
        return [piece for piece in pieces if piece not in ("<", ">")]

    def vector(self, word: str) -> list[float]:
        rows = [self.words.index(word)] if word in self.words else []
        rows += [len(self.words) + fnv1a(piece) % self.bucket for piece in self.ngrams(word)]
        return self.matrix[rows].mean(0).tolist()


def test_fnv1a_of_known_strings() -> None:
    """As the hash's authors give them: http://www.isthe.com/chongo/tech/comp/fnv/."""
    from penstock.data.word_vectors.fasttext import _hash

    for text, value in (("", 0x811C9DC5), ("a", 0xE40C292C), ("foobar", 0xBF9CF968)):
        assert fnv1a(text) == _hash(text.encode()) == value


@pytest.mark.parametrize(("shortest", "longest"), [(3, 6), (1, 2), (2, 2)])
def test_fasttext_vectors_of_known_and_unknown_words(
    write: Write, shortest: int, longest: int
) -> None:
    model = Model(["the", "été", "日本語", "Paris"], shortest=shortest, longest=longest)
    words = ["été", "日本語", "paris", "hahaha", "日本", "x", "The"]
    vectors = read(write("m.bin", model.write()), words)
    assert vectors.matches == ("exact", "exact", "ngrams", "ngrams", "ngrams", "ngrams", "lower")
    expected = [model.vector("the" if word == "The" else word) for word in words]
    np.testing.assert_allclose(vectors.matrix, expected, atol=1e-6)
    packed = read(write("m.bin.xz", lzma.compress(model.write())), words)
    assert np.array_equal(packed.matrix, vectors.matrix)


def test_fasttext_matrix_is_read_in_blocks(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model([f"word{i}" for i in range(30)])
    path = write("m.bin", model.write())
    whole = read(path, ["word3", "word29", "never"])
    monkeypatch.setattr("penstock.data.word_vectors.fasttext._BLOCK_ROWS_BYTES", 7 * 4 * 3)
    parts = read(path, ["word3", "word29", "never"])
    np.testing.assert_allclose(parts.matrix, whole.matrix, atol=1e-7)


def test_fasttext_without_ngrams_knows_only_its_words(write: Write) -> None:
    words = ["the", "cat"]
    for model in (
        Model(words, longest=0),
        Model(words, bucket=0),
        Model(words, version=11, kind=3),
    ):
        vectors = read(write("m.bin", model.write()), ["dog", "cat"])
        assert vectors.index.tolist() == [5]
        assert vectors.matrix[0].tolist() == model.matrix[1].tolist()


def test_fasttext_labels_are_no_words(write: Write) -> None:
    model = Model(["the", "</s>"], labels=["__label__good"])
    vectors = read(write("m.bin", model.write()), ["the", "</s>"])
    assert vectors.matrix[1].tolist() == model.matrix[1].tolist(), "the line's end has no n-grams"
    np.testing.assert_allclose(vectors.matrix[0], model.vector("the"), atol=1e-6)
    label = read(write("m.bin", model.write()), ["the", "__label__good"])
    assert label.matches == ("exact", "ngrams")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Model(["the"], size=8).write(), "m: vectors of 8 numbers, but .* is 3; set .* = 8"),
        (Model(["the"], version=13).write(), "m: a fastText model of version 13; versions 11 and"),
        (Model(["the"]).write(quantised=b"\1"), "m: a quantised fastText model, which keeps no"),
        (Model(["the"]).write()[:40], "m: the file ends at byte 40 inside the settings: it is c"),
        (Model(["the"]).write()[:100], "m: the file ends .* inside entry 1 of the dictionary's 1"),
        (Model(["the"]).write()[:300], "m: the file ends .* rows 1 to .* of the matrix's 51: it i"),
        (Model(["the"]).write().replace(struct.pack("<2q", 51, 3), struct.pack("<2q", 50, 3)),
         "m: a damaged fastText model: its matrix is 50 × 3, expected 51 × 3; fetch"),
        (Model(["the"]).write().replace(struct.pack("<3i", 1, 1, 0), struct.pack("<3i", 1, 2, 0)),
         "m: a damaged fastText model: its dictionary has 1 entries, 2 words, 0 labels"),
    ],
)  # fmt: skip
def test_faults_of_fasttext_models(write: Write, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(write("m", content), ["the", "cat"])


def test_a_pruned_model_and_one_with_nan(write: Write) -> None:
    model = Model(["the"], bucket=0)
    pruned = model.write().replace(struct.pack("<qq", 99, -1), struct.pack("<qq", 99, 5))
    with pytest.raises(DataError, match="a quantised fastText model"):
        read(write("m", pruned), ["the"])
    model.matrix[0, 1] = np.nan
    with pytest.raises(DataError, match="m: the vector of 'the' has nan as its number 2; remove"):
        read(write("m", model.write()), ["the"])
