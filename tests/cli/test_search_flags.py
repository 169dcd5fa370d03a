"""The flags of a search, from the command line to its output."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.app import run
from penstock.errors import DataError

Capture = pytest.CaptureFixture[str]
Ran = Callable[..., tuple[int, str, str]]

LINES = "She sees them.\n\n  Do you speak French?\nYes.\n"


@pytest.fixture
def penstock(capfd: Capture, tmp_path: Path, tiny_run: Path) -> Ran:
    """Run a verb on the tiny model and some lines: exit code, stdout, stderr."""

    def command(verb: str, *arguments: object) -> tuple[int, str, str]:
        source = tmp_path / "lines.txt"
        source.write_text(LINES, encoding="utf-8")
        given = ["-i", source] if verb == "translate" else []
        code = run([verb, "-m", str(tiny_run), *map(str, (*given, *arguments))])
        out, err = capfd.readouterr()
        return code, out, err

    return command


@pytest.mark.parametrize("search", ["greedy", "beam", "sample", "exact", "mbr"])
def test_json_has_its_keys(penstock: Ran, search: str) -> None:
    flags = ["--search", search, "--samples", "3", "--budget", "20", "--max-length", "9"]
    code, out, _ = penstock("translate", "--format", "json", "--alignments", *flags)
    assert code == 0
    results = [json.loads(line) for line in out.split("\n")[:-1]]
    assert len(results) == 4
    for result in results:
        assert result.keys() >= {
            "text", "score", "log_probability", "token_log_probabilities", "tokens", "alignment",
            "alternatives", "status", "seconds",
        }  # fmt: skip
    assert results[1]["status"] == "empty"
    assert results[2]["text"].startswith("  ")
    exact = {"certified", "bound", "extended"}
    for result in (results[0], results[2], results[3]):
        assert (exact <= result.keys()) == (search == "exact")
        assert len(result["alternatives"]) == (2 if search == "sample" else 0)


def test_flags_reach_the_search(penstock: Ran) -> None:
    flags = ["--prefix", "Vous", "--require", "maison", "--require", "chat", "--forbid", "ne"]
    code, out, _ = penstock("translate", *flags, "--max-length", "40")
    texts = [line for line in out.split("\n") if line]
    assert code == 0
    assert len(texts) == 3
    for text in texts:
        assert text.strip().startswith("Vous")
        assert "maison" in text
        assert "chat" in text
        assert " ne" not in text


def test_phrases_line_by_line(penstock: Ran, tmp_path: Path) -> None:
    file = tmp_path / "phrases.jsonl"
    file.write_text('{"prefix": "Elle"}\n\n{"require": ["maison"]}\n{}\n', encoding="utf-8")
    code, out, _ = penstock("translate", "--phrases", file)
    lines = out.split("\n")
    assert code == 0
    assert lines[0].startswith("Elle")
    assert "maison" in lines[2]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{}\n", "has fewer lines than the input"),
        ("{}\n[\n", "line 2: not JSON"),
        ('{"requires": []}\n', 'line 1: expected an object with "prefix"'),
        ('{"require": "maison"}\n', 'line 1: expected an object with "prefix"'),
        ('{"prefix": 3}\n', 'line 1: expected an object with "prefix"'),
    ],
)
def test_unusable_phrases(penstock: Ran, tmp_path: Path, content: str, says: str) -> None:
    file = tmp_path / "phrases.jsonl"
    file.write_text(content, encoding="utf-8")
    code, out, err = penstock("translate", "--phrases", file)
    assert code in (1, 2)
    assert says in err
    assert not out


def test_a_dictionary_is_two_columns(penstock: Ran, tmp_path: Path) -> None:
    file = tmp_path / "words.tsv"
    file.write_text("cat\tchat\n\ndog chien\n", encoding="utf-8")
    code, _, err = penstock("translate", "--replace-unknown", "--dictionary", file)
    assert code == DataError("").exit_code
    assert "line 3: expected a source word, a tab and a target word" in err
    file.write_text("cat\tchat\n", encoding="utf-8")
    assert penstock("translate", "--replace-unknown", "--dictionary", file)[0] == 0


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--temperature", "0", "--search", "sample"], "temperature = 0.0: must be at least 0.001"),
        (["--top-p", "2", "--search", "sample"], "top_p = 2.0: must be at most 1"),
        (["--groups", "3"], "groups 3: must divide the beam size, 5"),
        (["--weights", "a,b"], "--weights 'a,b': give a number for each model"),
        (["--weights", "1,2"], "2 weights for 1 models"),
        (["--placeholder", "["], "placeholders.0 = '[': not a regular expression"),
        (["--placeholder", "(a)\\1"], "which has no look-around and no back-references"),
        (["--placeholder", "((a{100}){100}){100}"], "invalid repetition size"),
        (["--prefix", "a" * 400], "take at least"),
        (["--beam-size", "0"], "beam_size = 0: must be at least 1"),
    ],
)
def test_impossible_flags(penstock: Ran, flags: list[str], says: str) -> None:
    code, out, err = penstock("translate", *flags)
    assert code == 2
    assert says in err
    assert not out


def test_a_model_beside_itself_says_the_same(penstock: Ran, tiny_run: Path) -> None:
    alone = penstock("translate")[1]
    assert penstock("translate", "-m", tiny_run, "--weights", "2,1")[1] == alone


def test_the_search_report(penstock: Ran, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("Yes.\tOui.\nShe sees them.\tElle les voit.\n", encoding="utf-8")
    flags = ["--search-report", "--normalization", "none", "--budget", "30", "--max-length", "5"]
    code, out, _ = penstock("evaluate", pairs, *flags, "--json")
    report: dict[str, Any] = json.loads(out)
    assert code == 0
    assert report["sentences"] == 2
    assert report["certified"].keys() == {"30"}
    rows = {row["search"]: row for row in report["searches"]}
    assert list(rows) == ["greedy", "beam 2", "beam 5", "beam 10", "beam 30", "exact"]
    best = rows["exact"]["log_probability"]
    assert all(row["log_probability"] <= best + 1e-6 for row in rows.values())
    assert rows["exact"]["errors"] in (None, 0)
    code, out, _ = penstock("evaluate", pairs, *flags)
    assert code == 0
    assert "certified within 30\t" in out
