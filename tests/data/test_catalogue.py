from __future__ import annotations

import hashlib
import importlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import file_server as fs
from penstock.cli import corpora
from penstock.data.corpora import catalogue
from penstock.data.corpora.catalogue import (
    CATALOGUE,
    Checksum,
    Corpus,
    Remote,
    corpus_path,
    find_corpus,
    get_corpus,
    place_local,
)
from penstock.data.corpora.download import Limits
from penstock.errors import DownloadError, UsageError

SHARED = Path(__file__).parents[3] / "shared" / "data" / "timemachine" / "timemachine.txt"
TEXT = b"Go.\tVa !\nHi.\tSalut !\n" * 500


def zipped(body: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as contents:
        contents.writestr("toy/toy.txt", body)
    return buffer.getvalue()


ARCHIVE = zipped(TEXT)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[fs.FileServer]:
    """Gives the corpus `toy`, an archive, which the catalogue then knows."""
    with fs.serving(ARCHIVE) as server:
        checksum = Checksum("sha1", hashlib.sha1(ARCHIVE).hexdigest())
        remote = Remote(server.url, checksum, file="toy.txt", member="toy/toy.txt")
        toy = Corpus("toy", "a toy", "none", "1,000 pairs", remote)
        monkeypatch.setattr(catalogue, "CATALOGUE", (*CATALOGUE, toy))
        yield server


def run(*arguments: str) -> Result:
    return CliRunner().invoke(corpora.app, arguments)


# --- names and places ---


def test_the_chapters_corpora() -> None:
    names = [corpus.name for corpus in CATALOGUE]
    assert names == ["builtin", "fra-eng", "timemachine"]
    remote = find_corpus("fra-eng").remote
    assert remote
    assert remote.url == "http://d2l-data.s3-accelerate.amazonaws.com/fra-eng.zip"
    assert str(remote.checksum) == "sha1 94646ad1522d915e7b0f9296181140edcf86a4f5"


@pytest.mark.parametrize(
    ("name", "near"),
    [("fra_eng", "fra-eng"), ("FRA-ENG", "fra-eng"), ("time-machine", "timemachine")],
)
def test_unknown_name_near_a_known_one(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"unknown corpus '{name}'; did you mean '{near}'"):
        corpus_path(name)


@pytest.mark.parametrize("name", ["", "xyzzy", "../../etc/passwd"])
def test_unknown_name(name: str) -> None:
    with pytest.raises(
        UsageError, match=r"unknown corpus .*; known: builtin, fra-eng, timemachine"
    ):
        get_corpus(name)


def test_builtin_is_not_fetched() -> None:
    for act in (corpus_path, get_corpus, lambda name: place_local(name, SHARED)):
        with pytest.raises(UsageError, match=r"'builtin': nothing to fetch.*penstock demo"):
            act("builtin")


def test_cache_folder(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert corpus_path("fra-eng") == cache / "corpora" / "fra-eng" / "fra.txt"
    monkeypatch.setenv("PENSTOCK_CACHE", "")
    assert "penstock" in corpus_path("fra-eng").parts
    assert corpus_path("fra-eng").is_absolute()


# --- fetching ---


def test_archive_is_fetched_unpacked_and_not_kept(server: fs.FileServer, cache: Path) -> None:
    server.misdeeds = [fs.cut_after(20)]
    path = get_corpus("toy", limits=Limits(pause=0.01))
    assert path == corpus_path("toy")
    assert path.read_bytes() == TEXT
    assert server.ranges == [None, "bytes=20-"]
    files = {item.name for item in path.parent.iterdir()}
    assert files == {"toy.txt", "toy.txt.lock", "toy.txt.seal"}
    assert get_corpus("toy") == path
    assert len(server.seen) == 2  # it was there
    path.write_bytes(TEXT[:-1])  # damaged since
    assert get_corpus("toy", limits=Limits(pause=0.01)) == path
    assert path.read_bytes() == TEXT
    get_corpus("toy", force=True)
    assert len(server.seen) == 4


def test_mirror_is_held_to_the_checksum(server: fs.FileServer) -> None:
    mirror = server.url.replace("/file", "/mirror")
    get_corpus("toy", url=mirror)
    assert server.seen[0][0] == "/mirror"
    server.body = zipped(b"altered")
    with pytest.raises(DownloadError, match="wrong checksum"):
        get_corpus("toy", url=mirror, force=True)
    assert corpus_path("toy").read_bytes() == TEXT


# --- a file from elsewhere ---


def test_local_archive(server: fs.FileServer, tmp_path: Path) -> None:
    file = tmp_path / "toy.zip"
    file.write_bytes(ARCHIVE)
    assert place_local("toy", file).read_bytes() == TEXT
    assert file.read_bytes() == ARCHIVE
    names = sorted(item.name for item in corpus_path("toy").parent.iterdir())
    assert names == ["toy.txt", "toy.txt.seal"]
    assert server.seen == []


def test_local_wrong_file(server: fs.FileServer, tmp_path: Path) -> None:
    file = tmp_path / "toy.txt"
    file.write_bytes(TEXT)
    with pytest.raises(
        DownloadError, match=r"toy\.txt: wrong checksum: expected sha1 .*, found sha1 .*unpacked"
    ):
        place_local("toy", file)
    assert file.exists()
    assert list(corpus_path("toy").parent.iterdir()) == []


def test_local_file_missing_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"none: cannot read: No such file.*--from FILE"):
        place_local("timemachine", tmp_path / "none")
    with pytest.raises(DownloadError, match="cannot read: Is a directory"):
        place_local("timemachine", tmp_path)


def test_local_file_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "SIZE_LIMIT", 100_000)
    with pytest.raises(DownloadError, match="/dev/zero: more than 100000 bytes"):
        place_local("timemachine", Path("/dev/zero"))


@pytest.mark.skipif(not SHARED.is_file(), reason="needs ../shared/data/timemachine")
def test_the_real_time_machine() -> None:
    result = run("get", "timemachine", "--from", str(SHARED))
    assert result.exit_code == 0
    assert result.stdout == f"{corpus_path('timemachine')}\n"
    assert corpus_path("timemachine").read_bytes() == SHARED.read_bytes()


# --- the command line ---


def test_list() -> None:
    result = run("list")
    assert result.exit_code == 0
    lines = result.stdout.split("\n")
    assert [line.split(" ")[0] for line in lines] == ["builtin", "fra-eng", "timemachine", ""]


def test_list_as_json(server: fs.FileServer) -> None:
    path = str(get_corpus("toy"))
    rows = {row["name"]: row for row in json.loads(run("list", "--json").stdout)}
    assert rows["toy"]["placed"] is True
    assert rows["toy"]["path"] == path
    assert rows["fra-eng"]["placed"] is False
    assert rows["builtin"]["url"] is None


def test_get_prints_the_path_alone(server: fs.FileServer) -> None:
    first, second, third = run("get", "toy"), run("get", "toy"), run("get", "toy", "--force")
    assert {first.stdout, second.stdout, third.stdout} == {f"{corpus_path('toy')}\n"}
    assert first.stderr == ""
    assert "placed already; --force" in second.stderr
    assert len(server.seen) == 2


def test_get_from_a_mirror(server: fs.FileServer) -> None:
    assert run("get", "toy", "--url", server.url + "?mirror").exit_code == 0
    assert server.seen[0][0] == "/file?mirror"


def test_get_with_a_bar_on_a_terminal(
    server: fs.FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    importlib.import_module("rich.progress")  # it keeps the console class of its import

    shown = io.StringIO()
    terminal = Console(file=shown, force_terminal=True, width=100)
    monkeypatch.setattr("rich.console.Console", lambda **_: terminal)
    assert run("get", "toy").stdout == f"{corpus_path('toy')}\n"
    assert "toy" in shown.getvalue()


def test_get_refuses_both_sources(tmp_path: Path) -> None:
    result = run("get", "timemachine", "--from", "f", "--url", "http://host/f")
    assert isinstance(result.exception, UsageError)
    assert "--from and --url: give one of them" in str(result.exception)
    assert result.stdout == ""
