"""The chapter's notebooks: well formed, and each runs from top to bottom."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from penstock.cli.app import run
from penstock.learn.notebook import MOST_MINUTES, chapter, notebook

ROOT = Path(__file__).parents[2]
Ran = Callable[..., tuple[int, str, str]]
PAGES = sorted(path.name for path in chapter().glob("*.md"))


def code_of(page: Path) -> list[dict[str, Any]]:
    return [cell for cell in notebook(page)["cells"] if cell["cell_type"] == "code"]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", PAGES)
def test_it_runs_from_top_to_bottom(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """In its short form, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv[:1])
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    for cell in code_of(chapter() / name):
        source = cell["metadata"].get("short", cell["source"])
        if not source.startswith("!"):
            exec(compile(source, name, "exec"), main.__dict__)
            if "__main__" in source:
                assert capfd.readouterr().out.strip(), "the script prints nothing"
            continue
        before, pipe, command = source[1:].rpartition(" | ")
        with monkeypatch.context() as patch:
            if pipe:
                fed = subprocess.run(["bash", "-c", before], capture_output=True, check=True)
                text = io.TextIOWrapper(io.BytesIO(fed.stdout), encoding="utf-8")
                patch.setattr("sys.stdin", text)
            program, *words = shlex.split(command)
            assert program == "penstock"
            assert run(words) == 0, f"{source}\n{capfd.readouterr().err}"
        capfd.readouterr()
    assert not capfd.readouterr().err


def test_scripts_are_cut_short_by_metadata_alone() -> None:
    cells = code_of(chapter() / "gru.md")
    start = next(i for i, cell in enumerate(cells) if "sys.argv" in cell["source"])
    assert "--short" not in cells[start]["source"]
    script = (ROOT / "examples/gru_from_scratch.py").read_text(encoding="utf-8").rstrip()
    assert cells[start + 1]["source"] == script
    assert cells[start + 1]["outputs"][0]["text"].strip()
    trained = [
        cell["source"]
        for page in PAGES
        for cell in code_of(chapter() / page)
        if cell["source"].startswith("!penstock train")
    ]
    assert len(trained) > 2
    assert all(f"training.max_minutes={MOST_MINUTES}" in source for source in trained)


def test_the_command_writes_all_and_overwrites_none(penstock: Ran, tmp_path: Path) -> None:
    out = tmp_path / "notebooks"
    code, printed, _ = penstock("learn", "notebooks", "--out", out)
    assert code == 0
    written = [Path(line) for line in printed.splitlines()]
    assert len(written) == 2 * len(PAGES)
    for path in written:
        made = json.loads(path.read_text(encoding="utf-8"))
        assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
        assert len({cell["id"] for cell in made["cells"]}) == len(made["cells"])
        for cell in made["cells"]:
            for link in re.findall(r"\]\(([^)\s#]+)", cell["source"]):
                if cell["cell_type"] == "markdown" and not re.match(r"[a-z]+:", link):
                    assert (path.parent / link).exists(), f"{path.name}: {link}"
        assert "live-" not in "".join(cell["source"] for cell in made["cells"])
        if find_spec("nbformat"):
            import nbformat  # pyright: ignore[reportMissingImports]

            nbformat.validate(made)
    english, chinese = ([c["source"] for c in code_of(chapter() / at / "lstm.md")]
                        for at in ("", "zh"))  # fmt: skip
    assert [s for s in english if "None" not in s] == [s for s in chinese if "None" not in s]
    code, _, told = penstock("learn", "notebooks", "--out", out)
    assert (code, "may have your answers; give another --out" in told) == (2, True)


def test_an_installation_without_pages_says_so(
    penstock: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_PACKAGED", "_ROOT"):
        monkeypatch.setattr(f"penstock.learn.notebook.{name}", tmp_path)
    code, _, told = penstock("learn", "notebooks", "--out", tmp_path / "made")
    assert (code, "has no pages of the chapter" in told) == (2, True)


def test_an_answer_is_checked_in_a_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    from penstock.learn.verdict import check_answer

    for name, answer, told in (
        ("gru-kept", 0.512, "right: Each step keeps"),
        ("gru-kept", 0.008, "wrong: That is 0.2³"),
        ("gru-kept", 4, "wrong: try it with smaller numbers"),
        ("gru-kept", None, "wrong: put a number in place of None"),
        ("combine-steps", lambda a, b: [a[0] * b[0], b[0] * a[1] + b[1]], "right: all 3 cases"),
        ("combine-steps", lambda a, b: ..., "wrong: combine([0.5, 1], [0.25, -2]) is 'Ellipsis'"),
    ):
        check_answer(name, answer)
        assert capsys.readouterr().out.startswith(told)
