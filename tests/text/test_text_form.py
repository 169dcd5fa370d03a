"""Unicode forms undone, columns and features as symbols, lines in other case."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config import TOKENIZERS, TokenizerConfig
from penstock.errors import BundleError, ConfigError, DataError
from penstock.special_tokens import UNK_ID
from penstock.text import TextForm, Tokenizer
from penstock.text.input_columns import InputColumns, find_features
from penstock.text.letter_case import LetterCase, Reading
from penstock.text.unicode_form import UnicodeForm

WRITTEN = {
    "Hangul": "한국어 글자",
    "Vietnamese": "Tiếng Việt ở đây",
    "Devanagari, nukta letters excluded from composition": "\u0958\u0932\u092e \u095b",
    "Devanagari, nukta letters apart": "\u0915\u093c\u0932\u092e",
    "Bengali": "ক\u09cb ক\u09cc",
    "Greek": "ἄνθρωπος Ὕδωρ",
    "ångström sign": "5 \u212b und 6 \u212b",
    "Hebrew presentation forms": "\ufb2a\ufb2c",
    "decomposed French": unicodedata.normalize("NFD", "L'été où ça naît"),
    "decomposed Hangul": unicodedata.normalize("NFD", "한국어"),
}
LETTERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


# Unicode forms


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("name", WRITTEN)
def test_a_form_is_undone_as_the_training_text_is_written(name: str, form: Any) -> None:
    text = WRITTEN[name]
    learned = UnicodeForm.learn(form, ["ascii", text])
    assert unicodedata.is_normalized(form, learned.apply(text))
    assert learned.undo(learned.apply(text)) == text
    assert UnicodeForm.from_plain(json.loads(json.dumps(learned.to_plain()))) == learned


@given(LETTERS, st.sampled_from(["NFC", "NFD"]))
def test_composed_text_survives_any_canonical_form(text: str, form: Any) -> None:
    composed = unicodedata.normalize("NFC", text)
    learned = UnicodeForm.learn(form, ["été"])
    assert learned.undo(learned.apply(composed)) == composed


def test_compatibility_characters_stay_replaced() -> None:
    form = UnicodeForm.learn("NFKC", ["ﬁn"])
    assert form.undo(form.apply("ﬁn Ａ é")) == "fin A é"


@pytest.mark.parametrize("kind", ["char", "bpe", "unigram", "separator"])
def test_a_tokenizer_reads_the_form_and_gives_the_text_back(kind: str) -> None:
    texts = ["한국 사람", "한글 학교", "사람 한국 학교"]
    config = TokenizerConfig(kind=kind, vocab_size=300, min_frequency=1, unicode="NFD")
    tokenizer = Tokenizer.train(texts, config, TextForm(UnicodeForm.learn("NFD", texts)))
    again = Tokenizer.from_json(tokenizer.to_json())
    assert again.to_json() == tokenizer.to_json()
    for text in texts:
        ids = again.encode(text)
        assert again.encode(unicodedata.normalize("NFD", text)) == ids
        assert again.decode(ids) == text
        assert len(again.surfaces(text)) == len(ids)
    if kind == "char":
        assert len(again.encode("한")) == 3
        assert again.decode_with([*again.encode("하")[:2], UNK_ID], ["ᆫ"]) == "한"


def test_plain_tokenizers_are_saved_as_before() -> None:
    about = json.loads(
        Tokenizer.train(["a b"], TokenizerConfig(kind="char", min_frequency=1)).to_json()
    )
    assert about["penstock"] == {"format": 1, "kind": "char", "separator": " "}


def test_words_are_composed_already() -> None:
    with pytest.raises(ConfigError, match="unicode = 'NFD': kind 'word' composes its text"):
        TokenizerConfig(kind="word", unicode="NFD")


# columns and features

LEMMAS = ["av", "ev", "VN", "kapı"] * 5
ROWS = [f"{lemma}\t{tags}" for lemma in LEMMAS for tags in ("V;PST", "N;LOC;PL")]
COLUMNS = InputColumns.learn(["lemma", "features"], ROWS)


def with_columns(kind: str, columns: InputColumns = COLUMNS) -> Tokenizer:
    config = TokenizerConfig(kind=kind, vocab_size=300, min_frequency=1)
    return Tokenizer.train(ROWS, config, TextForm(columns=columns))


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_features_are_symbols_of_their_own_for_every_kind(kind: str) -> None:
    tokenizer = Tokenizer.from_json(with_columns(kind).to_json())
    ids = tokenizer.encode("VN\tV;N;XX")
    text = tokenizer.encode("VN")
    assert tokenizer.tokens(ids[len(text) :]) == ["⇥", "V", "N", "<unk>"]
    assert ids[: len(text)] == text
    assert not {*text} & {*ids[len(text) :]}
    assert tokenizer.decode(ids) == tokenizer.decode([*text, UNK_ID])
    assert len(tokenizer.surfaces("VN\tV;N;XX")) == len(ids)
    words = tokenizer.words()
    assert len(words) == tokenizer.vocab_size
    assert words[-6:] == [None] * 6


def test_several_columns_of_text_are_apart() -> None:
    columns = InputColumns.learn(["left", "right"], ROWS, features=())
    tokenizer = with_columns("char", columns)
    assert tokenizer.tokens(tokenizer.encode("av\tV;")) == ["a", "v", "⇥", "V", ";"]
    assert tokenizer.encode("av\t") == [*tokenizer.encode("av"), tokenizer.encode("av\tV")[2]]


def test_a_wrong_number_of_columns_names_line_and_remedy() -> None:
    message = "expected 2 columns, found 3; give lemma and features as in the training data"
    with pytest.raises(DataError, match=f"line 3: {message}, separated by a tab"):
        COLUMNS.check(["av\tN", "", "a\tb\tc"])
    with pytest.raises(DataError, match="line 1: expected 2 columns, found 1"):
        COLUMNS.check(["av"])
    with pytest.raises(DataError, match=message):
        with_columns("char").encode("a\tb\tc")


def test_rare_features_are_unknown() -> None:
    columns = InputColumns.learn(["a", "b"], [*ROWS, "av\tRARE;N"], min_frequency=2)
    assert set(columns.symbols) == {"V", "PST", "N", "LOC", "PL"}


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([row.split("\t") for row in ROWS], ((2,), ";")),
        ([("Case=Dat|Number=Sing", "av")] * 20, ((1,), "|")),
        ([(f"w{i}", ("fra", "deu")[i % 2]) for i in range(200)], ((2,), ";")),
        ([(f"Satz {i}; mehr", f"noch {i}; einer") for i in range(50)], ((), ";")),
        ([(f"w{i}", f"v{i}") for i in range(50)], ((), ";")),
        ([("N;PL", "V;PST")] * 20, ((), ";")),
        ([("av", "N;LOC")], ((), ";")),
        ([], ((), ";")),
    ],
)
def test_columns_of_features_are_recognised(rows: Any, found: Any) -> None:
    assert find_features(rows) == found


# letter case

GERMAN = [
    ("Der Hund sieht den Park.", "The dog sees the park."),
    ("Ich sehe den Hund in Rom.", "I see the dog in Rome."),
    ("Wer geht mit dem Hund in den Park?", "Who goes to the park with the dog?"),
] * 10
TRUE = LetterCase.learn("auto", GERMAN)


@pytest.mark.parametrize(
    ("line", "read", "capitals"),
    [
        ("DER HUND GEHT.", "Der Hund geht.", True),
        ("¡DER PARK!", "¡Der Park!", True),
        ("wer sieht den hund?", "Wer sieht den Hund?", False),
        ("Der Hund geht.", "Der Hund geht.", False),
        ("Der HUND geht.", "Der HUND geht.", False),
        ("USA", "USA", False),
        ("日本語 123", "日本語 123", False),
        ("", "", False),
    ],
)
def test_a_line_in_other_case_is_read_in_the_training_texts(
    line: str, read: str, capitals: bool
) -> None:
    assert TRUE is not None
    assert TRUE.read(line) == Reading(read, capitals)


@given(st.sampled_from(GERMAN), st.sampled_from(["", "{NAME}", "{x}"]))
def test_capitals_come_back_and_kept_parts_stay(pair: tuple[str, str], kept: str) -> None:
    assert TRUE is not None
    text = f"{pair[0]} {kept}"
    assert TRUE.read(text, [kept]) == Reading(text)
    shouted = f"{pair[0].upper()} {kept}"
    reading = TRUE.read(shouted, [kept])
    assert reading.text == text
    assert reading.capitals
    assert TRUE.capitals(reading.text, [kept]) == shouted


@given(LETTERS)
def test_only_case_changes(text: str) -> None:
    for case in (TRUE, LetterCase("lower"), LetterCase("upper")):
        assert case is not None
        assert case.read(text).text.casefold().upper() == text.casefold().upper()


@pytest.mark.parametrize(
    ("pairs", "mode", "line", "reading"),
    [
        ([("ein hund", "a dog")] * 20, "auto", "Ein HUND", Reading("ein hund")),
        ([("ein hund", "a dog")] * 20, "auto", "EIN HUND", Reading("ein hund")),  # no capitals out
        ([("HUND", "h ʊ n t")] * 20, "auto", "Hund", Reading("HUND")),
        ([("ein hund", "A dog")] * 20, "auto", "EIN HUND", Reading("ein hund", capitals=True)),
        (GERMAN, "lower", "Der Hund", Reading("der hund")),
        (GERMAN, "lower", "DER HUND", Reading("der hund", capitals=True)),
    ],
)
def test_what_a_training_text_asks_for(
    pairs: list[tuple[str, str]], mode: Any, line: str, reading: Reading
) -> None:
    case = LetterCase.learn(mode, pairs)
    assert case is not None
    assert case.read(line) == reading
    assert LetterCase.from_plain(json.loads(json.dumps(case.to_plain()))) == case


@pytest.mark.parametrize(
    "pairs",
    [
        [("Ein Hund", "a")] * 19,
        [("日本語", "a")] * 50,
        [("EIN HUND", "a"), ("ein hund", "a"), ("Ein Hund", "a")] * 20,
    ],
)
def test_a_training_text_that_says_nothing_changes_nothing(pairs: list[tuple[str, str]]) -> None:
    assert LetterCase.learn("auto", pairs) is None


def test_turkish_letters_keep_their_dots() -> None:
    case = LetterCase.learn("lower", [("ışık iyi", "x")], language="tr")
    assert case is not None
    assert case.read("IŞIK İYİ").text == "ışık iyi"


def test_features_keep_their_case() -> None:
    form = TextForm(columns=COLUMNS, case=LetterCase("lower"))
    assert form.read("EVIN\tN;LOC") == Reading("evin\tN;LOC")


# files


@pytest.mark.parametrize(
    "form",
    [
        [],
        {"colour": 1},
        {"unicode": {"model": "NFX", "text": "NFC", "excluded": []}},
        {"unicode": {"model": "NFD", "text": "NFC", "excluded": [["a"]]}},
        {"columns": {**COLUMNS.to_plain(), "names": ["one"]}},
        {"columns": {**COLUMNS.to_plain(), "features": [3]}},
        {"columns": {**COLUMNS.to_plain(), "symbols": ["a", "a"]}},
        {"columns": {**COLUMNS.to_plain(), "delimiter": ""}},
        {"case": {**LetterCase().to_plain(), "reads": "sideways"}},
        {"case": {**LetterCase().to_plain(), "forms": [1]}},
    ],
)
def test_a_damaged_form_is_an_error(form: Any) -> None:
    content = json.loads(with_columns("char").to_json())
    content["penstock"]["form"] = form
    with pytest.raises(BundleError, match=r"damaged tokenizer: its .*; restore the file"):
        Tokenizer.from_json(json.dumps(content))
