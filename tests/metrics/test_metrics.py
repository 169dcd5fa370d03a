"""Metrics against sacreBLEU itself, brute force and hand-computed cases."""

from __future__ import annotations

import doctest
import importlib
import math

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from penstock.config import METRICS
from penstock.errors import DataError, UsageError
from penstock.metrics import (
    bleu,
    edit_distance,
    exact_match,
    metrics_for,
    ngram_precisions,
    score_corpus,
    sequence_error_rate,
    token_error_rate,
)

sequences = st.lists(st.sampled_from("abcd"), max_size=8)
sentences = sequences.map(" ".join)

HYPOTHESES = ["The cat sat on the mat .", "", "It is 3.14 , he said !", "A dog barks loudly ."]
REFERENCES = [
    ["The cat sat on the mat.", "A cat was sitting on the mat."],
    ["Nothing came out."],
    ["It's 3.14, he said!", "He said: it is 3.14!", "3.14, said he."],
    ["A dog barks loudly ."],
]


@pytest.mark.parametrize("name", ["bleu", "corpus_scores", "error_rates"])
def test_docstring_examples_run(name: str) -> None:
    module = importlib.import_module(f"penstock.metrics.{name}")
    assert doctest.testmod(module).failed == 0


# the chapter's BLEU


def test_book_bleu_of_the_worked_example() -> None:
    prediction, label = "A B B C D", "A B C D E F"
    assert ngram_precisions(prediction, label, 4) == [4 / 5, 3 / 4, 1 / 3, 0.0]
    expected = math.exp(1 - 6 / 5) * (4 / 5) ** (1 / 2) * (3 / 4) ** (1 / 4)
    assert bleu(prediction, label, 2) == pytest.approx(expected)


@given(sentences, st.integers(1, 6))
def test_book_bleu_of_a_sentence_with_itself_is_one(sentence: str, k: int) -> None:
    assert bleu(sentence, sentence, k) == 1.0


@given(sentences, sentences, st.integers(1, 6))
def test_book_bleu_is_defined_for_every_input(pred: str, label: str, k: int) -> None:
    score = bleu(pred, label, k)
    assert 0.0 <= score <= 1.0
    if pred and len(pred.split()) >= k:
        assert score == pytest.approx(_book_code(pred, label, k))


def _book_code(pred_seq: str, label_seq: str, k: int) -> float:
    """The chapter's own program, which divides by zero where the prediction is shorter than k."""
    pred, label = pred_seq.split(), label_seq.split()
    score = math.exp(min(0, 1 - len(label) / len(pred)))
    for n in range(1, k + 1):
        left = [label[i : i + n] for i in range(len(label) - n + 1)]
        matches = 0
        for i in range(len(pred) - n + 1):
            if pred[i : i + n] in left:
                matches += 1
                left.remove(pred[i : i + n])
        score *= math.pow(matches / (len(pred) - n + 1), math.pow(0.5, n))
    return score


@pytest.mark.parametrize(
    ("pred", "label", "k", "score"),
    [
        ("", "", 2, 1.0),
        ("", "a", 2, 0.0),
        ("a", "", 2, 0.0),
        ("a", "a", 4, 1.0),
        ("a", "a b", 2, 0.0),  # no bigram where the label has one
        ("a", "b", 4, 0.0),
    ],
)
def test_book_bleu_at_the_edges(pred: str, label: str, k: int, score: float) -> None:
    assert bleu(pred, label, k) == score


def test_book_bleu_refuses_k_below_one() -> None:
    with pytest.raises(UsageError, match="BLEU's k is 0, but the longest n-gram needs at least 1"):
        bleu("a", "a", 0)


# sacreBLEU


def test_single_reference_scores_are_sacrebleus() -> None:
    references = [options[0] for options in REFERENCES]
    scores = score_corpus(HYPOTHESES, [[r] for r in references], ("bleu", "chrf", "ter"))
    assert scores.bleu == sacrebleu.corpus_bleu(HYPOTHESES, [references]).score
    assert scores.chrf == sacrebleu.corpus_chrf(HYPOTHESES, [references]).score
    assert scores.ter == sacrebleu.corpus_ter(HYPOTHESES, [references]).score
    assert (scores.exact_match, scores.ser, scores.wer, scores.per) == (None, None, None, None)


def test_bleu_with_unequal_numbers_of_references_by_hand() -> None:
    hypotheses = ["a b c d e", "a b c d"]
    scores = score_corpus(hypotheses, [["a b c d e f", "z b c d e"], ["a b x d"]], ("bleu",))
    # matches over totals: unigrams 5+3 of 9 ('a' from one reference, the rest from either),
    # bigrams 4+1 of 7, trigrams 3+0 of 5, 4-grams 2+0 of 3; the closest lengths are 5 and 4
    expected = 100 * (8 / 9 * 5 / 7 * 3 / 5 * 2 / 3) ** (1 / 4)
    assert scores.bleu == pytest.approx(expected)
    assert scores.signature is not None
    assert "nrefs:var" in scores.signature


def test_a_repeated_reference_changes_nothing() -> None:
    names = ("bleu", "chrf", "exact_match", "wer")  # not TER, which averages their lengths
    once = score_corpus(HYPOTHESES, REFERENCES, names)
    doubled = [[*options, options[0]] for options in REFERENCES]
    twice = score_corpus(HYPOTHESES, doubled, names)
    for name in names:
        assert getattr(once, name) == pytest.approx(getattr(twice, name))


def test_signature_names_each_sacrebleu_metric() -> None:
    scores = score_corpus(HYPOTHESES, REFERENCES, ("chrf", "bleu", "wer"))
    assert scores.signature is not None
    first, second = scores.signature.split(" ")
    assert first.startswith("BLEU|nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert second.startswith("chrF2|nrefs:var|case:mixed|")
    assert score_corpus(HYPOTHESES, REFERENCES, ("wer",)).signature is None


@given(st.lists(st.lists(st.sampled_from("abcd"), min_size=4, max_size=8), min_size=1, max_size=5))
def test_a_corpus_against_itself_is_perfect(tokens: list[list[str]]) -> None:
    lines = [" ".join(line) for line in tokens]
    scores = score_corpus(lines, [[line] for line in lines], tuple(METRICS), separator=" ")
    assert scores.bleu == pytest.approx(100)
    assert scores.chrf == pytest.approx(100)
    assert (scores.ter, scores.exact_match, scores.ser) == (0, 100, 0)
    assert (scores.wer, scores.per, scores.cer) == (0, 0, 0)
    assert scores.sentences == len(lines)


def test_nothing_but_empty_hypotheses_scores_zero() -> None:
    scores = score_corpus(["", ""], [["a b c d"], ["e f"]], ("bleu", "chrf", "ter", "wer"))
    assert (scores.bleu, scores.chrf, scores.ter, scores.wer) == (0, 0, 100, 100)


# error rates


@given(sequences, sequences)
def test_edit_distance_is_levenshteins(left: list[str], right: list[str]) -> None:
    assert edit_distance(left, right) == _levenshtein(left, right)


def test_edit_distance_of_long_sequences() -> None:
    left = [str(i % 7) for i in range(300)]
    right = [str(i % 11) for i in range(250)]
    assert edit_distance(left, right) == _levenshtein(left, right)


def _levenshtein(left: list[str], right: list[str]) -> int:
    previous = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        row = [i]
        for j, b in enumerate(right, start=1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (a != b)))
        previous = row
    return previous[-1]


def test_token_error_rate_sums_before_dividing() -> None:
    # 1 edit of 2 tokens, 0 of 4: 1 / 6, not the mean of 1 / 2 and 0
    assert token_error_rate(["a x", "a b c d"], [["a b"], ["a b c d"]]) == pytest.approx(100 / 6)


def test_token_error_rate_takes_the_closest_reference() -> None:
    assert token_error_rate(["a b"], [["x y z", "a c", "a b q r"]]) == pytest.approx(100 / 2)
    # one edit from both: the longer counts
    assert token_error_rate(["a b"], [["a c", "a b c"]]) == pytest.approx(100 / 3)


def test_token_error_rate_of_empty_references_is_finite() -> None:
    assert token_error_rate([""], [[""]]) == 0.0
    assert token_error_rate(["a b"], [[""]]) == 200.0


def test_exact_match_minds_everything_but_white_space() -> None:
    hypotheses = ["Où va-t-il ?", " a  b ", "A b", "a b."]
    references = [["Il va où ?", "Où\u00a0va-t-il\u202f?"], ["a b"], ["a b"], ["a b"]]
    assert exact_match(hypotheses, references) == 50.0


def test_error_rates_mean_the_same_with_and_without_a_separator() -> None:
    hypotheses = ["a b c", "d e", "f"]
    references = [["a b c"], ["d o e"], ["g", "f"]]
    for separator in (None, " "):
        scores = score_corpus(hypotheses, references, ("ser", "wer", "cer"), separator=separator)
        assert scores.ser == pytest.approx(100 / 3)
        assert scores.wer == pytest.approx(100 / 7)
        assert scores.cer == pytest.approx(200 / 11)
    assert score_corpus(hypotheses, references, ("per",), separator=" ").per == pytest.approx(
        100 / 7
    )


def test_phones_may_hold_spaces_where_the_separator_is_another() -> None:
    scores = score_corpus(["a b|c"], [["a|b|c"]], ("ser", "wer", "per"), separator="|")
    assert (scores.ser, scores.wer, scores.per) == (100.0, 200.0, pytest.approx(200 / 3))


def test_characters_are_counted_with_white_space_as_one_space() -> None:
    assert score_corpus(["a\u00a0 bx"], [["a b y"]], ("cer",)).cer == pytest.approx(40)


def test_symbol_error_rates_have_the_name_of_the_symbol() -> None:
    always = ("bleu", "chrf", "exact_match", "ser")
    assert metrics_for("separator") == (*always, "per")
    assert metrics_for("char") == (*always, "wer", "cer")
    assert {metrics_for(kind) for kind in ("word", "bpe", "unigram")} == {(*always, "wer")}


def test_sequence_error_rate_is_the_rest_of_exact_match() -> None:
    assert sequence_error_rate(["a", "b"], [["a"], ["c"]]) == 50.0


# errors


def test_unequal_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="2 hypotheses but references for 1 sentences; give one"):
        score_corpus(["a", "b"], [["a"]])


@pytest.mark.parametrize("function", [score_corpus, exact_match, token_error_rate])
def test_zero_sentences_are_refused(function) -> None:
    with pytest.raises(DataError, match="no sentences to score; give at least one hypothesis"):
        function([], [])


def test_a_sentence_without_reference_is_refused() -> None:
    with pytest.raises(DataError, match="sentence 2 has no reference; give at least one"):
        score_corpus(["a", "b"], [["a"], []])


def test_references_as_plain_strings_are_refused() -> None:
    with pytest.raises(UsageError, match="references of sentence 1 are the string 'a b'; give a l"):
        score_corpus(["a"], ["a b"])


def test_unknown_metrics_are_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown metric 'blue'; did you mean 'bleu'\?"):
        score_corpus(["a"], [["a"]], ("blue",))
    with pytest.raises(UsageError, match="unknown metric 'nist'; known: bleu, chrf, ter"):
        score_corpus(["a"], [["a"]], ("nist",))


def test_per_needs_a_separator() -> None:
    with pytest.raises(UsageError, match=r"'per' counts errors .* use 'wer', over char.* 'cer'"):
        score_corpus(["a"], [["a"]], ("per",))
