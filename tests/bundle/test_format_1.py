"""Bundles of format 1, kept as they were written: today's code gives what was given then.

`tests/fixtures/format-1` has a bundle of each task, trained for a minute on the built-in corpus at
commit 5b26ffb, and the outputs of that commit's command line (fp32, one thread).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.app import run

FIXTURES = Path(__file__).parents[1] / "fixtures" / "format-1"
TIMES = {"seconds", "milliseconds"}


def given(tmp_path: Path, verb: str, task: str, source: str, *options: str) -> str:
    out = tmp_path / "out"
    command = [verb, "-m", str(FIXTURES / task), "-i", str(FIXTURES / source), "-o", str(out)]
    assert run([*command, *options, "--device", "cpu"]) == 0
    return out.read_text(encoding="utf-8")


def require_same(found: Any, expected: Any) -> None:
    """Equal texts, keys and lengths; numbers to a millionth. Later keys may have been added."""
    if isinstance(expected, dict):
        for key in expected.keys() - TIMES:
            require_same(found[key], expected[key])
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            require_same(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)
    else:
        assert found == expected


def test_greedy_translations_have_the_same_bytes(tmp_path: Path) -> None:
    found = given(tmp_path, "translate", "translation", "source.txt", "--search", "greedy")
    assert found == (FIXTURES / "greedy.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("verb", "task", "source", "expected", "options"),
    [
        ("translate", "translation", "source.txt", "beam.jsonl", ["--beam-size", "4"]),
        ("classify", "classification", "source.txt", "labels.jsonl", []),
        ("fill", "cloze", "blanks.txt", "filled.jsonl", []),
    ],
)
def test_results_and_their_scores_are_the_same(
    tmp_path: Path, verb: str, task: str, source: str, expected: str, options: list[str]
) -> None:
    found = given(tmp_path, verb, task, source, "--format", "json", *options)
    wanted = (FIXTURES / expected).read_text(encoding="utf-8")
    require_same(
        [json.loads(line) for line in found.splitlines()],
        [json.loads(line) for line in wanted.splitlines()],
    )


def test_a_language_model_writes_and_scores_the_same(capfd: pytest.CaptureFixture[str]) -> None:
    model = str(FIXTURES / "language-model")
    options = ["--search", "greedy", "--length", "60", "--device", "cpu", "--json"]
    assert run(["generate", "-m", model, "She ", *options]) == 0
    assert run(["score", "-m", model, str(FIXTURES / "source.txt"), "--json"]) == 0
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    wanted = (FIXTURES / "written.jsonl").read_text(encoding="utf-8").splitlines()
    require_same(found, [json.loads(line) for line in wanted])
