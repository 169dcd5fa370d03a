"""The wheel in an environment of its own, without torch: how large it is, and that it works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from hatchling.builders.wheel import WheelBuilder

from penstock.bundle import load_bundle, save_bundle
from penstock.tasks.model_export import export_bundle
from penstock.tasks.translation.translator import Translator
from service_process import served

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT / "tests" / "fixtures" / "format-1"
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
MEGABYTES = 300  # with what the service needs, without pip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment in `venv` with the wheel and what `requirements.lock` pins for it."""
    folder = tmp_path_factory.mktemp("fresh")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "venv" / "bin" / "python")]
    options = ["--quiet", "--no-compile", "--retries", "0"]
    locked = ["--require-hashes", "-r", str(ROOT / "requirements.lock")]
    for what in (locked, ["--no-deps", str(wheel)]):  # as in Containerfile
        ran = subprocess.run(
            [*pip, "install", *options, *what],
            capture_output=True, text=True, check=False, env=ENVIRONMENT,
        )  # fmt: skip
        if re.search(
            r"No matching distribution|Failed to establish|No module named pip", ran.stderr
        ):
            pytest.skip("needs a package index, or its mirror, and pip")
        assert ran.returncode == 0, ran.stderr
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    """A translation model, exported."""
    out = folder / "model"
    save_bundle(export_bundle(load_bundle(FIXTURES / "translation"), precision="fp32"), out)
    return out


def command(folder: Path, arguments: Sequence[object]) -> list[str]:
    return [str(folder / "venv" / "bin" / "penstock"), *map(str, arguments)]


def penstock(folder: Path, *arguments: object) -> str:
    ran = subprocess.run(
        command(folder, arguments), capture_output=True, text=True, check=False, env=ENVIRONMENT
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_it_is_small_and_has_no_torch(folder: Path) -> None:
    files = [path for path in (folder / "venv").rglob("*") if path.is_file()]
    assert 50 < sum(path.lstat().st_size for path in files) / 1e6 <= MEGABYTES
    facts = json.loads(penstock(folder, "doctor", "--json"))
    assert [facts[name] for name in ("torch", "pyarrow", "onnx")] == ["not installed"] * 3


def test_it_translates(folder: Path, model: Path) -> None:
    source, expected = FIXTURES / "source.txt", (FIXTURES / "greedy.txt").read_text("utf-8")
    found = penstock(folder, "translate", "-m", model, "-i", source, "--search", "greedy")
    assert found == expected


def test_it_shows_gates(folder: Path) -> None:
    layers = json.loads(penstock(folder, "inspect", "-m", "demo", "She sees them."))["gates"]
    sides = ["encoder forward", "encoder backward", "decoder forward"]
    assert [f"{layer['side']} {layer['direction']}" for layer in layers] == sides
    gates = {"input", "forget", "output", "candidate", "cell", "hidden"}
    assert all(layer["values"].keys() == gates for layer in layers)


def test_it_evaluates(folder: Path, model: Path, tmp_path: Path) -> None:
    source, pairs = FIXTURES / "source.txt", tmp_path / "pairs.tsv"
    lines, outputs = (
        path.read_text("utf-8").splitlines() for path in (source, FIXTURES / "greedy.txt")
    )
    rows = [f"{line}\t{output}\n" for line, output in zip(lines, outputs, strict=True) if line]
    pairs.write_text("".join(rows), encoding="utf-8")
    scores = json.loads(
        penstock(folder, "evaluate", pairs, "-m", model, "--search", "greedy", "--json")
    )
    assert scores["bleu"] == pytest.approx(100)
    assert "tok:" in scores["signature"]


def test_it_serves(folder: Path, model: Path) -> None:
    asked = {"q": "When did Marie and Lucas work?", "source": "en", "target": "fr"}
    with served(command(folder, ["serve", "-m", f"en-fr={model}"]), ENVIRONMENT) as address:
        answer = httpx.post(f"{address}/translate", json=asked).json()
        page = httpx.get(address)
    expected = Translator.load(model).translate([str(asked["q"])])[0].text
    assert answer["translatedText"] == expected
    assert page.status_code == 200


def test_it_serves_without_rights_on_read_only_files(folder: Path) -> None:
    """As `Containerfile` runs it; here root keeps its name but loses every capability."""
    paths = [folder, *(path for path in folder.rglob("*") if not path.is_symlink())]
    modes = {path: path.stat().st_mode for path in paths}
    prefix = ["setpriv", "--bounding-set=-all", "--no-new-privs"] if os.geteuid() == 0 else []
    if prefix and not shutil.which(prefix[0]):
        pytest.skip("needs setpriv (util-linux) to take root's rights away")
    command = [*prefix, str(folder / "venv" / "bin" / "penstock"), "serve", "-m", "demo"]
    nowhere = {"HOME": "/nonexistent", "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    asked = {"q": "She sees them.", "source": "en", "target": "fr"}
    try:
        for path in paths:
            path.chmod(modes[path] & ~0o222)
        denied = subprocess.run([*prefix, "touch", folder / "written"], capture_output=True)
        assert denied.returncode != 0
        with served(command, {**ENVIRONMENT, **nowhere}) as address:
            answer = httpx.post(f"{address}/translate", json=asked).json()
        assert answer["translatedText"] == "Elle les voit."
        assert {path for path in folder.rglob("*") if not path.is_symlink()} == set(paths[1:])
    finally:
        for path in paths:
            path.chmod(modes[path])
