"""What is built and installed has all that runs: the page too, which is no Python."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)( ;.*?)?( \\)?$", re.MULTILINE)


def sources() -> set[str]:
    """The package's files, as a wheel names them."""
    found = (ROOT / "src").rglob("*")
    return {
        path.relative_to(ROOT / "src").as_posix()
        for path in found
        if path.is_file() and path.suffix != ".pyc" and ".egg-info" not in path.as_posix()
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


def build_wheel(root: Path, folder: Path) -> Path:
    (built,) = WheelBuilder(str(root)).build(directory=str(folder), versions=["standard"])
    return Path(built)


def contents(built: Path) -> set[str]:
    with zipfile.ZipFile(built) as wheel:
        return {name for name in wheel.namelist() if ".dist-info/" not in name}


def test_the_wheel_has_every_file_of_the_package(built: Path) -> None:
    names = contents(built)
    chapter = ("penstock/learn/chapter/", "penstock/learn/examples/")
    brought = {name for name in names if name.startswith(chapter)}
    assert names - brought == sources()
    assert not any("node_modules" in name for name in brought)
    assert {
        f"penstock/insight/page/{name}.html" for name in ("index", "docs", "inspection")
    } < names
    assert any(name.endswith("page/js/main.js") for name in names)


def test_an_installed_wheel_has_the_notebooks(built: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(built) as wheel:
        wheel.extractall(tmp_path / "installed")
    write = "from penstock.cli.app import run; run(['learn', 'notebooks', '--out', 'made'])"
    subprocess.run(
        [sys.executable, "-c", write],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        check=True,
    )
    assert {path.stem for path in (tmp_path / "made").glob("*.ipynb")} == {
        path.stem for path in (ROOT / "docs/chapter").glob("*.md")
    }


def test_the_page_is_found_as_the_package_has_it() -> None:
    page = files("penstock.insight") / "page"
    for name in ("index.html", "css/base.css", "js/main.js"):
        assert (page / name).is_file(), name


def test_the_source_distribution_has_what_the_wheel_is_built_from(tmp_path: Path) -> None:
    (built,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(built) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert {name.removeprefix("src/") for name in names if name.startswith("src/")} == sources()
    assert {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO"} <= names


def test_the_container_copies_what_the_wheel_needs(tmp_path: Path) -> None:
    lines = (ROOT / "Containerfile").read_text("utf-8").split("\n")
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--" not in line]
    for name in (name for names in copied for name in names):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    assert (tmp_path / "requirements.lock").exists()
    assert contents(build_wheel(tmp_path, tmp_path / "wheel")) == sources()
    user = next(line for line in lines if line.startswith("USER "))
    assert re.fullmatch(r"USER [1-9]\d*:[1-9]\d*", user)


def test_it_is_pure_python_for_the_versions_that_it_names(built: Path) -> None:
    with zipfile.ZipFile(built) as wheel:
        about = {Path(name).name: name for name in wheel.namelist() if ".dist-info/" in name}
        metadata = wheel.read(about["METADATA"]).decode()
    assert built.name.endswith("-py3-none-any.whl")
    assert "\nRequires-Python: >=3.11\n" in metadata
    for minor in range(11, 15):
        assert f"\nClassifier: Programming Language :: Python :: 3.{minor}\n" in metadata
    assert not [name for name in sources() if name.endswith((".so", ".pyd", ".dll", ".dylib"))]


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_has_the_tested_versions_and_their_hashes() -> None:
    text = (ROOT / "requirements.lock").read_text("utf-8")
    entries = [entry for entry in re.split(r"\n(?=[A-Za-z])", text) if not entry.startswith("#")]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text  # which index gave it is the user's affair
    locked = {plain(found[1]): found[2] for found in PIN.finditer(text)}
    assert len(locked) == len(entries)
    tested = {
        plain(found[1]): found[2]
        for found in PIN.finditer((ROOT / "constraints.txt").read_text("utf-8"))
    }
    assert {name: tested.get(name, version) for name, version in locked.items()} == locked
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["serve"], *extras["clean"]]
    names = {plain(re.split(r"[^\w.-]", each, maxsplit=1)[0]) for each in needed}
    assert names <= locked.keys(), "make lock"


FLAW = {"id": "PYSEC-2026-1", "fix_versions": ["1.1"]}


@pytest.mark.parametrize(
    ("packages", "errors", "status", "line"),
    [
        (None, "a\nConnectionError: no route", 3, "not checked: ConnectionError: no route"),
        ([{"name": "a", "skip_reason": "unknown"}], "", 3, "the package index has no advisories"),
        ([{"name": "a", "version": "1", "vulns": []}], "", 0, "0 known in 1 packages"),
        (
            [{"name": "a", "version": "1.0", "vulns": [FLAW]}, {"name": "b", "skip_reason": "?"}],
            "",
            1,
            "a 1.0: PYSEC-2026-1, fixed in 1.1",
        ),
    ],
)
def test_what_is_said_of_vulnerabilities(
    packages: list[dict[str, Any]] | None, errors: str, status: int, line: str
) -> None:
    verdict = runpy.run_path(str(ROOT / ".ci" / "audit.py"))["verdict"]
    output = "" if packages is None else json.dumps({"dependencies": packages})
    found, lines = verdict(output, errors)
    assert found == status
    assert line in "\n".join(lines)
