"""CONTRIBUTING's recipe for a metric, followed from outside the package: a function and a line."""

from __future__ import annotations

import io
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

import penstock as ps
from conftest import quiet_console, tiny_config
from penstock.cli.app import run
from penstock.config import METRICS, MetricEntry
from penstock.training.loop import train
from penstock.training.progress import read_log

PAIRS = [("She sees him .", "Elle le voit ."), ("He sings .", "Il chante .")]


def length_ratio(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Words of the hypotheses per 100 of the first references; 100 where neither has any."""
    ours = sum(len(text.split()) for text in hypotheses)
    theirs = sum(len(options[0].split()) for options in references)
    return 100 * (ours + 1) / (theirs + 1)


@pytest.fixture(autouse=True)
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "length_ratio", sys.modules[__name__])
    line = MetricEntry(
        "length %", "length_ratio", "length_ratio", higher_is_better=False, may_select=True
    )
    monkeypatch.setitem(METRICS, "length_ratio", line)


def test_it_scores_a_corpus() -> None:
    scores = ps.score_corpus(["a b c", ""], [["a b"], ["c"]], ("length_ratio", "wer"))
    assert scores.others == {"length_ratio": 100.0}
    assert scores.value("length_ratio") == 100.0
    assert scores.value("wer") == scores.wer
    assert scores.bleu is None


def test_it_evaluates_a_model(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "pairs.tsv"
    data.write_text("".join(f"{a}\t{b}\n" for a, b in PAIRS), encoding="utf-8")
    translator = ps.load(tiny_run)
    texts = [t.text for t in translator.translate([a for a, _ in PAIRS])]
    expected = length_ratio(texts, [(b,) for _, b in PAIRS])
    found = ps.evaluate(translator, PAIRS, metrics=["length_ratio", "exact_match"])
    assert found.scores["length_ratio"] == expected
    assert list(found.scores) == ["length_ratio", "exact_match"]
    command = ["evaluate", "-m", str(tiny_run), str(data), "--metrics", "length_ratio,bleu"]
    assert run([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["length_ratio"] == expected
    assert run(command) == 0
    assert f"length %\t{expected:.2f}" in capsys.readouterr().out


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_it_selects_a_model(
    higher_is_better: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = replace(METRICS["length_ratio"], higher_is_better=higher_is_better)
    monkeypatch.setitem(METRICS, "length_ratio", line)
    # two updates leave the outputs as they were, so the second value is raised here
    grown, measure = itertools.count(), length_ratio
    monkeypatch.setattr(
        sys.modules[__name__], "length_ratio", lambda h, r: measure(h, r) + next(grown)
    )
    config = tiny_config(
        "training.metric=length_ratio", "training.max_updates=2", "training.evaluate_every=1"
    )
    console = quiet_console()
    train(config, tmp_path / "run", console=console)
    events = [e for e in read_log(tmp_path / "run") if e["event"] == "evaluation"]
    values = [event["length_ratio"] for event in events]
    assert values[0] < values[1]
    assert [event["best"] for event in events] == [True, higher_is_better]
    record = ps.load(tmp_path / "run").bundle.record
    assert record["held_out"]["length_ratio"] == values[higher_is_better]
    shown = cast("io.StringIO", console.file).getvalue()
    assert f"length {values[0]:.1f}%" in shown


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (
            lambda: ps.score_corpus(["a"], [["a"]], ["length_ration"]),
            r"unknown metric 'length_ration'; did you mean 'length_ratio'\?",
        ),
        (
            lambda: tiny_config("training.metric=length_ration"),
            "training.metric = 'length_ration': unknown metric .*did you mean 'length_ratio'",
        ),
        (
            lambda: tiny_config("training.metric=wer"),
            "training.metric = 'wer': metric 'wer' selects no model; use one of loss, bleu, chrf, "
            "exact_match, length_ratio, accuracy, f1",
        ),
    ],
)
def test_an_unknown_metric_is_an_error(attempt: Callable[[], Any], message: str) -> None:
    with pytest.raises(ps.PenstockError, match=message):
        attempt()
