"""The two walks of docs/architecture.md are what runs: each stop is entered, in that order.

A stop is a numbered item that begins with a function and its file; other files that it links to are
entered too. Below the stops stand the folders whose functions take part, all of them.
"""

from __future__ import annotations

import inspect
import io
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import pytest

import penstock
from conftest import TINY
from penstock.cli.app import run
from penstock.config import dump_toml, parse_config
from penstock.data.grammar import generate_pairs

PACKAGE = Path(penstock.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"

_FIRST = re.compile(r"`([\w.]+)` in\s+\[`[^`]+`\]\(\.\./src/penstock/([^)]+)\)")
_FILE = re.compile(r"\(\.\./src/penstock/([^)]+\.py)\)")


@dataclass(frozen=True)
class Walk:
    """A section of the page."""

    stops: list[str]
    folders: set[str]

    @classmethod
    def read(cls, title: str) -> Walk:
        section = PAGE.read_text("utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
        stops, end = section.split("\nFolders that take part: ")
        listed = end.split("\n\n")[0]
        return cls(re.split(r"^\d\. ", stops, flags=re.M)[1:], set(re.findall(r"`(\w+)/`", listed)))


Calls = list[tuple[str, str]]


def calls_of(command: Callable[[], int]) -> Calls:
    """File and name of each function of ours, in the order in which they are first called."""
    found: dict[tuple[str, str], None] = {}

    def note(frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        path = Path(code.co_filename)
        # a module's or class's body is no function
        if (
            event == "call"
            and code.co_flags & inspect.CO_OPTIMIZED
            and path.is_relative_to(PACKAGE)
        ):
            found.setdefault((path.relative_to(PACKAGE).as_posix(), code.co_qualname))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        status = command()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert status == 0
    return list(found)


def check(walk: Walk, calls: Calls) -> None:
    places: list[int] = []
    for stop in walk.stops:
        first = _FIRST.match(stop)
        assert first, f"a stop begins with a function and its file: {stop!r}"
        function = (first[2], first[1])
        assert function in calls, f"{function} is never called"
        places.append(calls.index(function))
        entered = {path for path, _ in calls}
        assert set(_FILE.findall(stop)) <= entered, (
            f"a file of this stop is never entered: {stop!r}"
        )
    assert places == sorted(places), "the stops are in another order than the calls"
    folders = {path.split("/")[0] for path, _ in calls if "/" in path}
    assert walk.folders == folders, f"take part: {', '.join(f'`{x}/`' for x in sorted(folders))}"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two updates on a file of pairs; it has been run once, for the imports."""
    folder = tmp_path_factory.mktemp("walk")
    pairs = "".join(f"{pair.source}\t{pair.target}\n" for pair in generate_pairs(60))
    (folder / "pairs.tsv").write_text(pairs, encoding="utf-8")
    few = [
        "training.max_updates=2",
        "training.evaluate_every=2",
        "training.evaluate_sentences=2",
        f"data.train='{folder / 'pairs.tsv'}'",
    ]
    (folder / "tiny.toml").write_text(dump_toml(parse_config(TINY, few)), encoding="utf-8")
    assert run(["train", str(folder / "tiny.toml"), "--out", str(folder / "first")]) == 0
    return folder / "tiny.toml"


def test_one_batch_goes_through_train_as_the_page_says(config: Path, tmp_path: Path) -> None:
    walk = Walk.read("One batch through `train`")
    assert len(walk.stops) <= 7
    command = ["train", str(config), "--out", str(tmp_path / "run")]
    check(walk, calls_of(lambda: run(command)))


def test_one_sentence_goes_through_translate_as_the_page_says(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = Walk.read("One sentence through `translate`")
    assert len(walk.stops) <= 5

    def translate() -> int:
        line = io.TextIOWrapper(io.BytesIO(b"She sees him.\n"), encoding="utf-8")
        monkeypatch.setattr("sys.stdin", line)
        return run(["translate", "-m", str(config.parent / "first"), "--max-length", "3"])

    translate()
    check(walk, calls_of(translate))
