"""Corpora on servers, in buckets and on the hub, all of them on this machine."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import penstock as ps
from file_server import serving
from hub_server import Hub, client_of, serving_hub
from penstock.data import remote_files
from penstock.data.formats.corpus_files import read_text, shown
from penstock.training.run_settings import run_name


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
    remote_files.fetch.cache_clear()
    yield
    remote_files.fetch.cache_clear()


@pytest.fixture
def bucket() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    system.pipe({"/b/2.tsv": b"c\tC\n", "/b/1.tsv": b"a\tA\n", "/b/readme.md": b"# x\n"})
    yield system
    system.rm("/b", recursive=True)


def _pairs(source: Any, **options: Any) -> list[tuple[str, str]]:
    return [(p.source, p.target) for p in ps.read_pairs(source, ps.ReadOptions(**options))]


def _parquet(**columns: list[str]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def test_a_bucket_is_read_by_name_glob_and_folder(bucket: Any) -> None:
    assert _pairs("memory://b/*.tsv") == [("a", "A"), ("c", "C")]
    assert _pairs(["memory://b/2.tsv", "memory://b/1.tsv"]) == [("c", "C"), ("a", "A")]
    bucket.pipe("/b/set/x.parquet", _parquet(en=["one"], fr=["un"]))
    assert _pairs("memory://b/set") == [("one", "un")]
    assert [line.text for line in read_text("memory://b/readme.md")] == ["# x"]
    assert run_name("s3://bucket/data/europarl.tsv.gz") == "europarl"


def test_a_copy_is_kept_verified_and_renewed(bucket: Any, tmp_path: Path) -> None:
    fetched: list[str] = []
    get = MemoryFileSystem.get_file

    def counted(self: Any, path: str, *args: Any, **options: Any) -> Any:
        fetched.append(path)
        return get(self, path, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryFileSystem, "get_file", counted)
        for change, count in ((None, 1), (None, 1), ("damage", 2), ("new", 3)):
            remote_files.fetch.cache_clear()
            (copy,) = remote_files.fetch("memory://b/1.tsv") if fetched else (None,)
            if change == "damage":
                assert copy is not None
                Path(copy).write_text("x\n")
            if change == "new":
                bucket.pipe("/b/1.tsv", b"other\tO\n")
            remote_files.fetch.cache_clear()
            wanted = "other" if change == "new" else "a"
            assert _pairs("memory://b/1.tsv")[0][0] == wanted
            assert len(fetched) == count
    assert (tmp_path / "cache" / "remote").is_dir()


def test_what_is_not_there_is_said(bucket: Any) -> None:
    for name, message in (
        ("memory://b/3.tsv", "memory://b/3.tsv: no such file; check the address"),
        ("memory://b/*.csv", r"memory://b/\*.csv: no file of pairs or of text is there"),
    ):
        with pytest.raises(ps.DataError, match=message):
            _pairs(name)
    with pytest.raises(ps.DataError, match=r"nosuch://x/y.tsv: cannot be read \(ValueError\)"):
        _pairs("nosuch://x/y.tsv")


def test_credentials_are_asked_for_and_never_shown(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoCredentialsError(Exception):
        pass

    def refuse(*_: Any, **__: Any) -> None:
        raise NoCredentialsError("secret")

    monkeypatch.setattr(MemoryFileSystem, "get_file", refuse)
    with pytest.raises(ps.DataError) as caught:
        _pairs("memory://user:secret@b/1.tsv?signature=secret")
    assert "secret" not in str(caught.value)
    with pytest.raises(ps.DataError, match=r"memory://b/1\.tsv: not open to this user \(NoCred"):
        _pairs("memory://b/1.tsv")
    assert shown("https://me:secret@x.org/a.tsv?key=secret") == "https://x.org/a.tsv"


def test_a_web_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(b"a\tA\n") as server:
        assert _pairs(server.url) == [("a", "A")]
    remote_files.fetch.cache_clear()
    with pytest.raises(ps.DataError, match="check the address"):
        _pairs(server.url)
    assert os.environ["no_proxy"]


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ImportError("Install s3fs to access S3", name="s3fs")

    monkeypatch.setattr(fsspec.core, "url_to_fs", fail)
    with pytest.raises(
        ps.PenstockError, match=r"s3://x/y\.tsv needs s3fs: pip install 'penstock\[r"
    ):
        _pairs("s3://x/y.tsv")


def test_a_data_set_of_the_hub(tmp_path: Path) -> None:
    with serving_hub() as hub, client_of(hub.url, tmp_path / "hub"):
        _read_data_set(hub)


def _read_data_set(hub: Hub) -> None:
    hub.add(
        "datasets/owner/name",
        {
            "README.md": b"---\n---\n",
            "data/train-00000-of-00002.parquet": _parquet(en=["one"], fr=["un"]),
            "data/train-00001-of-00002.parquet": _parquet(en=["two"], fr=["deux"]),
            "data/validation-00000-of-00001.parquet": _parquet(en=["three"], fr=["trois"]),
            "de-en/train.tsv": b"eins\tone\n",
        },
    )
    name = "hf://datasets/owner/name"
    assert _pairs(f"{name}/data#train") == [("one", "un"), ("two", "deux")]
    assert _pairs(f"{name}#validation") == [("three", "trois")]
    assert _pairs(f"{name}/de-en#train") == [("eins", "one")]
    assert _pairs(f"{name}/data/train-*.parquet", columns=("fr", "en"))[0] == ("un", "one")
    assert _pairs(f"{name}/de-en/train.tsv") == [("eins", "one")]
    assert run_name(f"{name}#train") == "name"
    with pytest.raises(ps.DataError, match="name#test: no file of pairs or of text is there"):
        _pairs(f"{name}#test")
    with pytest.raises(ps.UsageError, match="name a data set and a split or a path"):
        _pairs(name)
    with pytest.raises(ps.PenstockError, match="hf://datasets/owner/gone: no such repository"):
        _pairs("hf://datasets/owner/gone#train")
