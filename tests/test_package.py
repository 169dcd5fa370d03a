"""What is built and installed has all that runs: the page too, which is no Python."""

from __future__ import annotations

import zipfile
from importlib.resources import files
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]


def sources() -> set[str]:
    """The package's files, as a wheel names them."""
    found = (ROOT / "src").rglob("*")
    return {
        path.relative_to(ROOT / "src").as_posix()
        for path in found
        if path.is_file() and path.suffix != ".pyc" and ".egg-info" not in path.as_posix()
    }


def test_the_wheel_has_every_file_of_the_package(tmp_path: Path) -> None:
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(built) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == sources()
    assert {
        f"penstock/insight/page/{name}.html" for name in ("index", "docs", "inspection")
    } < names
    assert any(name.endswith("page/js/main.js") for name in names)


def test_the_page_is_found_as_the_package_has_it() -> None:
    page = files("penstock.insight") / "page"
    for name in ("index.html", "css/base.css", "js/main.js"):
        assert (page / name).is_file(), name
