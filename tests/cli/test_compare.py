"""`penstock compare`: models side by side on the same data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Ran = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.tsv"
    lines = ["She sees them .\tElle les voit .", "I am here .\tJe suis ici ."] * 3
    path.write_text("\n".join([*lines, "We do not speak .\tNous ne parlons pas ."]), "utf-8")
    return path


def test_translations_are_compared(penstock: Ran, tiny_run: Path, pairs: Path) -> None:
    command = ["compare", "demo", tiny_run, pairs, "--search", "greedy", "--differences", "1"]
    code, out, _ = penstock(*command)
    assert code == 0
    rows = [line.split("\t") for line in out.splitlines()]
    assert rows[0] == ["metric", "model", "score", "±", "p"]
    (first, second) = (row for row in rows if row[0] == "chrF")
    assert first[1:3] == ["demo", first[2]]
    assert float(first[2]) > float(second[2])
    assert first[4] == ""
    assert 0 < float(second[4]) < 0.1
    assert ["sentences", "7"] in rows
    blank = rows.index([""])
    names = [row[0] for row in rows[blank + 1 :]]
    assert names == ["source", "reference", "demo", str(tiny_run)]

    code, out, _ = penstock(*command, "--json", "--metrics", "exact")
    found = json.loads(out)
    assert (code, found["models"], found["examples"]) == (0, ["demo", str(tiny_run)], 7)
    assert [score["model"] for score in found["scores"]["exact_match"]] == found["models"]
    (difference,) = found["differences"]
    assert len(set(difference["outputs"])) == 2
    assert difference["scores"][0] > difference["scores"][1]


def test_labels_are_compared(penstock: Ran, classifier_run: Path, texts: Path) -> None:
    code, out, _ = penstock(
        "compare", classifier_run, classifier_run, texts / "labels.tsv", "--first", "20"
    )
    assert code == 0
    first, second = (row.split("\t") for row in out.splitlines() if row.startswith("accuracy %"))
    assert first[2] == second[2]
    assert second[4] == "1.000"
    assert "source" not in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["DATA"], "two models or more, then the data ('DATA' is no model)"),
        (["demo", "DATA"], "two models or more, then the data ('DATA' is no model)"),
        (["demo", "demo"], "two models or more, then the data (the data are missing)"),
        (["demo", "classifier", "DATA"], "a model for classification, asked to translate"),
        (["classifier", "classifier", "DATA", "--beam-size", "2"], "--beam-size applies to"),
        (["cloze", "cloze", "DATA"], "models for cloze have no outputs to compare"),
        (["demo", "demo", "missing.tsv"], "missing.tsv: no such file"),
        (["demo", "demo", "DATA", "--metrics", "bluu"], "did you mean 'bleu'"),
    ],
)
def test_what_cannot_be_compared_is_said(
    arguments: list[str],
    says: str,
    penstock: Ran,
    pairs: Path,
    classifier_run: Path,
    cloze_run: Path,
) -> None:
    places = {"DATA": pairs, "classifier": classifier_run, "cloze": cloze_run}
    code, out, err = penstock("compare", *(places.get(word, word) for word in arguments))
    assert code != 0
    assert out == ""
    assert says.replace("DATA", str(pairs)) in err
    assert err.startswith("penstock: ")
    assert len(err.splitlines()) == 1
