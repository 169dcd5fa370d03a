"""`penstock export`, and the verbs that use what it makes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.data.grammar import builtin_split

Ran = Callable[..., tuple[int, str, str]]
PAIRS = "".join(f"{p.source}\t{p.target}\n" for p in builtin_split(train=300).test[:20])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.tsv"
    path.write_text(PAIRS, encoding="utf-8")
    return path


def test_an_export_is_used_as_a_model_is(
    penstock: Ran, tiny_run: Path, tmp_path: Path, data: Path
) -> None:
    out = tmp_path / "export"
    code, printed, told = penstock("export", "-m", tiny_run, "--out", out, "--precision", "fp32")
    assert (code, printed) == (0, "")
    assert f"MB, fp32; use it as -m {out}" in told
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "fp32 ONNX graphs" in card
    assert "on held-out data: loss" in card
    lines = tmp_path / "lines.txt"
    lines.write_text("She sees them.\n\nDo you speak French?\n", encoding="utf-8")
    expected = penstock("translate", "-m", tiny_run, "-i", lines)
    assert penstock("translate", "-m", out, "-i", lines)[:2] == expected[:2]
    scores = [
        json.loads(penstock("evaluate", data, "-m", model, "--json")[1])
        for model in (tiny_run, out)
    ]
    assert scores[0]["chrf"] == scores[1]["chrf"]
    assert penstock("score", data, "-m", out)[0] == 0
    code, printed, _ = penstock("info", out, "--json")
    assert code == 0
    assert json.loads(printed)["parameters"] > 0


def test_verification_prints_every_engine(
    penstock: Ran, tiny_run: Path, tmp_path: Path, data: Path
) -> None:
    arguments = ("export", "-m", tiny_run, "--verify", data, "--calibrate", data)
    code, printed, _ = penstock(*arguments, "--out", tmp_path / "export")
    assert code == 0
    header, *rows = [line.split("\t") for line in printed.splitlines()]
    assert header[0] == "engine"
    assert header[-1] == "outputs that differ"
    assert [row[0] for row in rows] == ["torch fp32", "onnx fp32", "onnx int8"]
    assert rows[0][1:-1] == rows[1][1:-1]
    assert rows[1][-1] == "0 of 20"
    assert "verified with onnx int8" in (tmp_path / "export" / "README.md").read_text("utf-8")
    code, printed, _ = penstock(*arguments, "--out", tmp_path / "again", "--json")
    found = json.loads(printed)
    assert found["precision"] == "int8"
    assert [engine["engine"] for engine in found["verified"]] == [row[0] for row in rows]
    names = [{path.name for path in (tmp_path / each).iterdir()} for each in ("export", "again")]
    assert names[0] == names[1]  # names have the contents' hashes: an export is reproducible


def test_what_cannot_be_exported_is_said(penstock: Ran, tiny_run: Path, tmp_path: Path) -> None:
    code, _, told = penstock("export", "-m", tiny_run, "--out", tiny_run / "model")
    assert code == 2
    assert "give another directory than the model's" in told
    code, _, told = penstock("export", "-m", tmp_path, "--out", tmp_path / "export")
    assert code == 1
    assert "no bundle.json in it" in told
    empty = tmp_path / "empty.tsv"
    empty.write_text("", encoding="utf-8")
    out = tmp_path / "export"
    code, _, told = penstock("export", "-m", tiny_run, "--out", out, "--calibrate", empty)
    assert code == 1
    assert "no held-out text to calibrate int8 on" in told
    assert not out.exists()
