"""The translator: a line for a line, whatever the line, whatever stands beside it."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from conftest import network_of
from penstock.errors import DataError, UsageError
from penstock.search import Hypothesis
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.segmentation import Segment
from penstock.tasks.translation.translator import Translator
from penstock.text import EOS_ID, UNK_ID
from penstock.text.lines import in_chunks

LINES = ["She sees them.", "Do you speak French?", "I am not going to see her today.", "Yes.", "We"]


@pytest.fixture(scope="module")
def translator(tiny_run: Path) -> Translator:
    return Translator.load(tiny_run)


# --- one for one --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "",
        " ",
        "\t",
        "\u00a0",
        "\u200b",
        "\ufeff",
        "\u00ad\u2060",
        "\u3000\u2009",
        "\x07",
        "\r",
        "\u2028",
    ],
)
def test_blank_in_blank_out(translator: Translator, line: str) -> None:
    (result,) = translator.translate([line])
    assert (result.text, result.status, result.source) == ("", "empty", line)
    assert result.alternatives == []


@pytest.mark.parametrize(
    "line",
    [
        "a",
        "👩‍👩‍👧 🇫🇷 ✈️",
        "\u202eright to left\u202c",
        "שלום עולם",
        "مرحبا",
        "日本語のテキスト。",
        "\x00\x01\x1b[31mred\x1b[0m",
        "e\u0301\u0302\u0303" * 5,
        "<eos> <pad> <unk> <bos>",
        "a\u2028b\u0085c\x0bd",
        "line\nend\r\n",
        "\\n \\t %s {} ${HOME} `ls`",
        "\U0010ffff\ufffd\ue000",
    ],
)
@pytest.mark.parametrize("search", ["beam", "greedy"])
def test_any_text_gives_one_line(translator: Translator, line: str, search: str) -> None:
    (result,) = translator.translate([line], search=search)  # pyright: ignore[reportArgumentType]
    assert result.source == line
    assert result.status != "empty"
    assert "\n" not in result.text
    assert "\r" not in result.text
    assert math.isfinite(result.score)


def test_results_stand_where_their_lines_stood(translator: Translator) -> None:
    lines = ["", LINES[0], " ", LINES[1], "", "\u200b", *LINES]
    results = translator.translate(lines)
    assert [result.source for result in results] == lines
    blank = [result.text == "" for result in results if result.status == "empty"]
    assert blank == [True] * 4


def test_no_lines_no_results(translator: Translator) -> None:
    assert translator.translate([]) == []
    assert list(translator.translate_stream([])) == []
    assert translator.score([]) == []


def test_a_stream_is_read_as_it_goes_and_gives_the_same(translator: Translator) -> None:
    lines = (LINES * 3 + [""]) * 70
    streamed = list(translator.translate_stream(iter(lines), search="greedy"))
    assert [result.source for result in streamed] == lines
    alone = {line: translator.translate([line], search="greedy")[0].text for line in {*lines}}
    assert [result.text for result in streamed] == [alone[line] for line in lines]


# --- long lines ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    ["She sees them. " * 700, "she sees them " * 750, "x" * 10_000, "文" * 3_400, "👩‍👩‍👧" * 1250],
    ids=["sentences", "words", "one word", "no spaces", "emoji"],
)
def test_ten_thousand_characters_are_split_and_rejoined(translator: Translator, line: str) -> None:
    (result,) = translator.translate([line], search="greedy")
    assert result.parts >= 2
    assert result.status in ("split", "length-capped")
    assert result.alternatives == []
    # nothing of the source is left out
    shown = "".join(result.source_tokens).replace("<eos>", "")
    ids = translator.bundle.source_tokenizer.encode(line)
    pieces = len(translator.bundle.source_tokenizer.tokens(ids))
    ends = result.source_tokens.count("<eos>")
    assert ends >= 2
    assert shown
    assert len(result.source_tokens) - ends >= 0.9 * pieces


def test_the_parts_of_a_split_line_are_translated_as_if_alone(translator: Translator) -> None:
    sentence = "Do you speak French?"
    (alone,) = translator.translate([sentence])
    limit = translator.bundle.config.data.max_source_tokens
    count = limit // len(translator.bundle.source_tokenizer.encode(sentence)) + 1
    words = " ".join([sentence] * count)
    (result,) = translator.translate([words])
    assert result.parts >= 2
    assert result.status in ("split", "length-capped")
    assert result.text == " ".join([alone.text] * count)
    assert result.log_probability == pytest.approx(alone.log_probability * count, rel=1e-4)


@pytest.mark.parametrize(
    ("finished", "unknown", "status"),
    [
        ([True, True], [False, False], "split"),
        ([True, True], [False, True], "unknown-heavy"),
        ([True, False], [True, False], "length-capped"),
    ],
)
def test_of_several_statuses_the_gravest_is_told(
    translator: Translator, finished: list[bool], unknown: list[bool], status: str
) -> None:
    parts = [Segment("a", ([UNK_ID if odd else 5, EOS_ID],)) for odd in unknown]
    found = [[Hypothesis([5], -1.0, -1.0, [-0.5, -0.5], done)] for done in finished]
    result = translator._joiner.join("a b", parts, found, 0.0, SearchOptions())
    assert (result.status, result.parts) == (status, 2)


def test_a_stream_is_cut_by_lines_and_by_characters() -> None:
    assert list(in_chunks("abcde", max_lines=2)) == [["a", "b"], ["c", "d"], ["e"]]
    lines = ["aa", "a", "aaaaa", "", "a"]
    assert list(in_chunks(lines, max_characters=3)) == [["aa", "a"], ["aaaaa"], ["", "a"]]
    assert list(in_chunks([])) == []


# --- batch invariance ---------------------------------------------------------------------------


@pytest.mark.parametrize("search", ["beam", "greedy"])
def test_company_order_and_padding_change_nothing(translator: Translator, search: str) -> None:
    lines = [
        *LINES,
        "a " * 60,
        "They will have seen the red car.",
        *(f"{n} cars" for n in range(70)),
    ]
    options = {"search": search}
    alone = [translator.translate([line], **options)[0] for line in lines]  # pyright: ignore
    order = list(range(len(lines)))
    for seed in (1, 2):
        random.Random(seed).shuffle(order)
        together = translator.translate([lines[i] for i in order], **options)  # pyright: ignore
        for i, result in zip(order, together, strict=True):
            assert result.text == alone[i].text
            assert result.score == pytest.approx(alone[i].score, rel=1e-5, abs=1e-5)


# --- scores and alternatives --------------------------------------------------------------------


def test_alternatives_are_distinct_and_best_first(translator: Translator) -> None:
    for result in translator.translate(LINES, beam_size=4, n_best=4, alignments=True):
        assert len(result.alternatives) == 4
        scores = [a.score for a in result.alternatives]
        assert scores == sorted(scores, reverse=True)
        assert len({tuple(a.tokens) for a in result.alternatives}) == 4
        best = result.alternatives[0]
        assert (best.text, best.score, best.log_probability) == (
            result.text,
            result.score,
            result.log_probability,
        )
        for a in result.alternatives:
            assert len(a.token_log_probabilities) == len(a.tokens) + 1
            assert sum(a.token_log_probabilities) == pytest.approx(a.log_probability, rel=1e-6)
            assert a.score == pytest.approx(a.log_probability / (len(a.tokens) + 1))
            if a.tokens:
                assert a.alignment is not None
                assert [len(row) for row in a.alignment] == [len(result.source_tokens)] * len(
                    a.tokens
                )
                for row in a.alignment:
                    assert sum(row) == pytest.approx(1, abs=1e-4)


def test_alignments_only_when_asked(translator: Translator) -> None:
    assert translator.translate(LINES)[0].alternatives[0].alignment is None


def test_a_beam_of_one_is_greedy(translator: Translator) -> None:
    greedy = translator.translate(LINES, search="greedy")
    beam = translator.translate(LINES, beam_size=1)
    assert [r.text for r in beam] == [r.text for r in greedy]


def test_score_agrees_with_the_search(translator: Translator) -> None:
    """For every output whose text has the tokens that the search wrote."""
    tokenizer = translator.bundle.target_tokenizer
    checked = 0
    for result in translator.translate(LINES, beam_size=5, n_best=5):
        for a in result.alternatives:
            if tokenizer.tokens(tokenizer.encode(a.text)) != a.tokens:
                continue
            (score,) = translator.score([(result.source, a.text)])
            assert score.log_probability == pytest.approx(a.log_probability, rel=1e-4, abs=1e-4)
            assert score.tokens == len(a.tokens) + 1
            checked += 1
    assert checked >= 5


def test_scores_do_not_depend_on_company(translator: Translator) -> None:
    pairs = [(line, other) for line in LINES for other in [*LINES, ""]]
    together = translator.score(pairs)
    for pair, score in zip(pairs, together, strict=True):
        (alone,) = translator.score([pair])
        assert alone.tokens == score.tokens
        assert alone.log_probability == pytest.approx(score.log_probability, rel=1e-5, abs=1e-5)
        assert score.perplexity >= 1


def test_scoring_uses_no_dropout(translator: Translator) -> None:
    before = translator.score([(LINES[0], LINES[1])])
    network_of(translator).train()
    try:
        assert translator.score([(LINES[0], LINES[1])]) == before
        assert network_of(translator).training
    finally:
        network_of(translator).eval()


# --- impossible options -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"search": "magic"},
            "search = 'magic': must be 'beam', 'greedy', 'sample', 'exact', 'exhaustive' or 'mbr'",
        ),
        ({"beam_size": 0}, "beam_size = 0: must be at least 1"),
        ({"beam_size": -3}, "beam_size = -3"),
        ({"length_penalty": -1.0}, "length_penalty = -1.0: must be at least 0"),
        ({"length_penalty": math.nan}, "length_penalty = nan: must be a finite number"),
        ({"length_penalty": math.inf}, "length_penalty = inf: must be a finite number"),
        ({"n_best": 0}, "n_best = 0: must be at least 1"),
        ({"n_best": 6}, "n_best 6: must be between 1 and 5"),
        ({"n_best": 2, "search": "greedy"}, "between 1 and 1, what greedy search gives"),
    ],
)
def test_impossible_options(translator: Translator, options: dict, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        translator.translate(LINES, **options)


@pytest.mark.parametrize("lines", ["Hello.", [None], [b"bytes"], [["nested"]]])
def test_a_string_is_not_taken_for_lines(translator: Translator, lines: object) -> None:
    with pytest.raises(UsageError, match="translate takes a list of lines"):
        translator.translate(lines)  # pyright: ignore[reportArgumentType]


def test_a_lone_surrogate_is_refused(translator: Translator) -> None:
    with pytest.raises(DataError, match="surrogate"):
        translator.translate(["a\ud800b"])
