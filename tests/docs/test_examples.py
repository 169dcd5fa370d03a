"""Examples and benchmarks run, use the public API only, and leave nothing behind."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# some benchmarks want trained models, and have no short form
BENCHMARKS = sorted(ROOT.glob("benchmarks/*.py"))
SHORT = [p for p in BENCHMARKS if '"--short"' in p.read_text("utf-8")]
SCRIPTS = [*sorted(ROOT.glob("examples/*.py")), *SHORT]

IN_PAGES = "".join(p.read_text("utf-8") for p in ROOT.glob("docs/chapter/*.md"))

every_script = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)


@pytest.mark.parametrize(
    "path",
    # those of the chapter run in its notebooks: tests/learn/test_notebooks.py
    [path for path in SCRIPTS if f"$ python examples/{path.name}" not in IN_PAGES],
    ids=lambda path: path.name,
)
@pytest.mark.filterwarnings("default")  # other packages' warnings are not what is tested here
def test_it_runs_in_its_short_form(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    draws = '"--out"' in path.read_text(encoding="utf-8")
    figure = ["--out", "figure.svg"] if draws else []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path), "--short", *figure])
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out.strip(), "it prints nothing"
    left = sorted(file.name for file in tmp_path.iterdir())
    assert left == (["figure.svg"] if draws else [])


@pytest.mark.parametrize(
    "path", [*sorted(ROOT.glob("examples/*.py")), *BENCHMARKS], ids=lambda path: path.name
)
def test_importing_it_does_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(path.parent)  # where Python looks first when the script is run
    runpy.run_path(str(path), run_name="imported")
    assert not capsys.readouterr().out


@every_script
def test_it_uses_the_public_api_only(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [node.attr] if not node.attr.startswith("__") else []
        for name in names:
            private = any(part.startswith("_") for part in name.split("."))
            assert not private or name.startswith("__future__"), f"{path.name}: {name} is private"


@every_script
def test_its_first_lines_say_how_to_run_it(path: Path) -> None:
    about = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert f"python {path.relative_to(ROOT)}" in about
