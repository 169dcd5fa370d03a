"""Comparison of systems: known cases, sacreBLEU's own test, and what cannot be compared."""

from __future__ import annotations

import pytest
from sacrebleu.metrics.bleu import BLEU

from penstock.config import METRICS
from penstock.config.metric_table import MetricEntry
from penstock.errors import DataError, UsageError
from penstock.metrics import score_corpus
from penstock.metrics.significance import RESAMPLES, compare_rates, compare_systems

REFERENCES = [(f"a b c d {i}", f"a b c {i}") for i in range(40)]
RIGHT = [references[0] for references in REFERENCES]
HALF = [text if i % 2 else "a b x y" for i, text in enumerate(RIGHT)]
NEARLY = [text if i != 7 else "a b x y" for i, text in enumerate(RIGHT)]


@pytest.mark.parametrize("metric", sorted({*METRICS} - {"per"}))
def test_scores_are_those_of_the_whole_corpus(metric: str) -> None:
    found = compare_systems([RIGHT, HALF, NEARLY], REFERENCES, [metric]).by_metric[metric]
    for outputs, score in zip((RIGHT, HALF, NEARLY), found, strict=True):
        alone = score_corpus(outputs, REFERENCES, [metric]).value(metric)
        assert score.score == pytest.approx(alone)
    right, half, nearly = found
    assert right.p_value is None
    assert right.interval == pytest.approx(0, abs=1e-9)
    assert half.interval > nearly.interval > 0
    assert half.p_value == pytest.approx(1 / (RESAMPLES + 1))
    assert nearly.p_value is not None
    assert nearly.p_value > 0.05


@pytest.mark.parametrize("metric", ["bleu", "ser", "wer"])
def test_a_system_does_not_differ_from_itself(metric: str) -> None:
    first, second = compare_systems([HALF, list(HALF)], REFERENCES, [metric]).by_metric[metric]
    assert (second.score, second.p_value) == (first.score, 1.0)


def test_an_interval_is_that_of_the_binomial() -> None:
    """50 right of 100: the 95 % interval is 50 ± 1.96 · 5."""
    (found,) = compare_rates([[(i % 2, 1) for i in range(100)]])
    assert (found.score, found.interval) == (50, pytest.approx(9.8, abs=0.8))


def test_the_signature_says_how() -> None:
    signature = compare_systems([RIGHT, HALF], REFERENCES, ["bleu", "ser"]).signature
    assert signature.startswith("BLEU|nrefs:2|bs:1000|seed:12345|case:mixed")
    assert BLEU().corpus_score(HALF, [list(r) for r in zip(*REFERENCES, strict=True)]).score < 90


def test_what_cannot_be_compared_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS, "length", MetricEntry("length", "builtins", "len"))
    with pytest.raises(UsageError, match="'length' cannot be computed on resampled sentences"):
        compare_systems([RIGHT], REFERENCES, ["length"])
    with pytest.raises(UsageError, match="did you mean 'bleu'"):
        compare_systems([RIGHT], REFERENCES, ["bluu"])
    with pytest.raises(DataError, match="39 hypotheses but references for 40"):
        compare_systems([RIGHT, HALF[:-1]], REFERENCES, ["ser"])
