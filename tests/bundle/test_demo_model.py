"""The model in the box: `-m demo` answers before anybody has trained anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import penstock as ps
from penstock.bundle import find_bundle, load_bundle
from penstock.bundle.bundle_files import DEMO_MODEL
from penstock.cli.app import run as penstock


def test_the_demo_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.txt").write_text("She does not see them.\n")
    assert penstock(["translate", "-m", "demo", "-i", "in.txt"]) == 0
    assert capfd.readouterr().out == "Elle ne les voit pas.\n"


def test_the_demo_says_what_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ["日本語", "xqzt vrrp", "HELLO WORLD 12345", "naïve", "Do you like coffee?"]
    lines.append("The weather is nice today.")  # "weather" is no word of the corpus
    Path("in.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    flags = ["-i", "in.txt", "--format", "json", "--min-confidence", "0.9"]
    assert penstock(["translate", "-m", "demo", *flags]) == 0
    out, err = capfd.readouterr()
    results = [json.loads(line) for line in out.splitlines()]
    statuses = [result["status"] for result in results]
    assert statuses == ["unknown-heavy", *["unfamiliar"] * 3, "ok", "unsure"]
    assert "of 6 lines: 3 unfamiliar, 1 unknown-heavy, 1 unsure" in err
    assert [result["confidence"] for result in results[:4]] == [None] * 4
    assert results[4]["confidence"] > 0.9 > 0.5 > results[5]["confidence"]
    assert results[4]["expected_chrf"] > 95 > 70 > results[5]["expected_chrf"]


def test_a_directory_named_demo_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_bundle("demo") == DEMO_MODEL
    Path("demo").mkdir()
    with pytest.raises(ps.BundleError, match=r"demo: no bundle\.json in it"):
        find_bundle("demo")


def test_it_is_small_and_has_graphs_alone() -> None:
    assert sum(path.stat().st_size for path in DEMO_MODEL.iterdir()) <= 2_000_000
    bundle = load_bundle(DEMO_MODEL)
    assert set(bundle.files) == {"onnx_encoder", "onnx_step"}
    assert bundle.config.data.source_language == "en"
