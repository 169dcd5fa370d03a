"""Corpora of many files: several names, quoted globs, folders of Parquet."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import penstock as ps
from penstock.cli.data import app
from penstock.data.formats.corpus_files import expand, read_text
from penstock.data.grammar import generate_pairs
from penstock.training.run_settings import run_name


def _pairs(source: Any, **options: Any) -> list[tuple[str, str]]:
    return [(p.source, p.target) for p in ps.read_pairs(source, ps.ReadOptions(**options))]


def _parquet(path: Path, columns: dict[str, Any], **metadata: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    pq.write_table(table.replace_schema_metadata(metadata) if metadata else table, path)
    return path


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    (tmp_path / "b.tsv.gz").write_bytes(gzip.compress(b"c\tC\n"))
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(b"a\tA\nb\tB\n"))
    (tmp_path / "c.tsv.gz").mkdir()  # is no file
    return tmp_path


def test_a_glob_is_read_in_sorted_order_as_the_names_are(shards: Path) -> None:
    everything = [("a", "A"), ("b", "B"), ("c", "C")]
    assert _pairs(shards / "?.tsv.gz") == everything
    assert _pairs([shards / "a.tsv.gz", shards / "b.tsv.gz"]) == everything
    assert _pairs([shards / "b.tsv.gz", shards / "a*"]) == [everything[2], *everything[:2]]
    assert _pairs(shards / "*.tsv.gz", max_pairs=2) == everything[:2]
    (shards / "[x].tsv").write_text("x\tX\n")  # a name that looks like a pattern is a name
    assert _pairs(shards / "[x].tsv") == [("x", "X")]
    assert expand("-") == ["-"]
    assert run_name("data/crawl/*.tsv.gz") == "crawl"


def test_a_glob_that_matches_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(ps.DataError, match=r"\*\.tsv: no file has a name like this; check the pat"):
        _pairs(tmp_path / "*.tsv")
    with pytest.raises(ps.DataError, match=r"a directory without \.parquet files; name files"):
        _pairs(tmp_path)


def test_parallel_files_may_be_shards(tmp_path: Path) -> None:
    for name, text in {"1.en": "a\nb\n", "2.en": "c\n", "1.fr": "A\nB\n", "2.fr": "C\n"}.items():
        (tmp_path / name).write_text(text)
    both = [tmp_path / "*.en", tmp_path / "*.fr"]
    assert _pairs(both) == [("a", "A"), ("b", "B"), ("c", "C")]
    (tmp_path / "2.fr").unlink()
    with pytest.raises(ps.DataError, match=r"\*\.en: 2 files, and 1 for .*\*\.fr; line-parallel"):
        _pairs(both)


def test_an_error_names_the_file_and_a_message_comes_once(shards: Path) -> None:
    (shards / "d.tsv").write_text("d\tD\t1\ne\n")
    (shards / "e.tsv").write_text("f\tF\t1\n")
    with pytest.raises(ps.DataError, match=r"d\.tsv, line 2: expected 2 columns"):
        _pairs([shards / "a.tsv.gz", shards / "d.tsv"])
    said: list[str] = []
    _pairs([shards / "d.tsv", shards / "e.tsv"], on_error="skip", report=said.append)
    assert len(said) == 2
    assert "d.tsv: 1 further column is ignored" in said[0]
    assert "skipped 1 line" in said[1]


def test_check_names_file_and_line_of_several_files(shards: Path) -> None:
    (shards / "d.tsv").write_text("a\tA\n\tx\n")
    done = CliRunner().invoke(app, ["check", str(shards / "a*"), str(shards / "d.tsv"), "--json"])
    found = json.loads(done.stdout)
    assert found["pairs"] == 3
    assert found["duplicate_pairs"]["lines"] == [f"{shards / 'd.tsv'}:1"]
    assert found["empty"]["lines"] == [f"{shards / 'd.tsv'}:2"]


def test_a_folder_of_parquet(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    _parquet(folder / "data" / "1.parquet", {"source": ["b"], "target": ["B"]})
    _parquet(folder / "data" / "0.parquet", {"source": ["a"], "target": ["A"]})
    _parquet(folder / "_metadata.parquet", {"x": [1]})
    assert _pairs(folder) == [("a", "A"), ("b", "B")]


def test_columns_of_parquet_by_name_number_and_inside_another(tmp_path: Path) -> None:
    translation = [{"de": "eins", "en": "one"}, {"de": "zwei", "en": "two"}]
    path = _parquet(tmp_path / "x.parquet", {"id": [1, 2], "translation": translation})
    said: list[str] = []
    assert _pairs(path, report=said.append) == [("eins", "one"), ("zwei", "two")]
    assert "1 further column is ignored; read: translation.de, translation.en" in said[0]
    wanted = [("one", "eins"), ("two", "zwei")]
    assert _pairs(path, columns=("translation.en", "translation.de")) == wanted
    assert _pairs(path, columns=(3, 2)) == wanted
    assert _pairs(path, columns=((1, 3), 2))[0] == ("1\tone", "eins")


def test_labels_of_parquet_have_their_names(tmp_path: Path) -> None:
    features = {"label": {"names": ["bad", "good"], "_type": "ClassLabel"}}
    info = json.dumps({"info": {"features": features}})
    columns = {"text": ["a", "b"], "label": [1, 0]}
    named = _parquet(tmp_path / "x.parquet", columns, huggingface=info)
    assert _pairs(named, columns=("text", "label")) == [("a", "good"), ("b", "bad")]
    plain = _parquet(tmp_path / "y.parquet", columns)
    assert _pairs(plain, columns=("text", "label")) == [("a", "1"), ("b", "0")]


def test_several_targets_and_null_in_parquet(tmp_path: Path) -> None:
    columns = {"source": ["a", "b", None], "targets": [["A", "Ä"], [], ["C"]]}
    path = _parquet(tmp_path / "x.parquet", columns)
    (pair,) = ps.read_pairs(path, ps.ReadOptions(on_error="skip"))
    assert pair.targets == ("A", "Ä")
    with pytest.raises(ps.DataError, match=r"x\.parquet, line 2: column 'targets' is empty"):
        _pairs(path)


def test_what_is_wrong_with_parquet_is_said(tmp_path: Path) -> None:
    columns = {"de": ["a"], "en": ["b"], "fr": ["c"], "score": [0.5]}
    path = _parquet(tmp_path / "x.parquet", columns)
    for options, message in (
        ({}, r"no columns 'source' and 'target'; choose two by --columns; it has 'de' \(string\)"),
        ({"columns": ("de", "eng")}, r"no column 'eng'; did you mean 'en'\?"),
        ({"columns": (1, 5)}, "column 5 of 4; choose from de, en, fr, score"),
        ({"columns": ("de", "score")}, "column 'score' has double, and the target is text"),
    ):
        with pytest.raises(ps.DataError, match=message):
            _pairs(path, **options)
    with pytest.raises(ps.UsageError, match="has no header; leave --header out"):
        _pairs(path, header="yes")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ps.DataError, match=r"x\.parquet: no whole Parquet file .*fetch or make it"):
        _pairs(path)


def test_a_text_may_be_many_files(tmp_path: Path) -> None:
    (tmp_path / "1.txt").write_text("a\nb")
    (tmp_path / "2.txt").write_text("c\n")
    _parquet(tmp_path / "3.parquet", {"url": ["x"], "text": ["d\n\ne\n"]})
    texts = [line.text for line in read_text(tmp_path / "[1-3].*")]
    assert texts == ["a", "b", "c", "d", "", "e"]
    bad = _parquet(tmp_path / "4.parquet", {"a": ["x"], "b": ["y"]})
    with pytest.raises(ps.DataError, match=r"no column 'text'; it has 'a' \(string\), 'b'"):
        list(read_text(bad))


def test_it_trains_and_evaluates_on_many_files(tmp_path: Path) -> None:
    pairs = generate_pairs(120)
    for number in range(3):
        own = pairs[number::3]
        columns = {"en": [p.source for p in own], "fr": [p.target for p in own]}
        _parquet(tmp_path / "set" / f"{number}.parquet", columns)
    config = ps.RunConfig(
        threads=1,
        device="cpu",
        data={"train": str(tmp_path / "set"), "columns": ["en", "fr"], "valid_pairs": 5},
        text={"source": {"kind": "word", "min_frequency": 1}},
        model={"embedding_size": 8, "hidden_size": 8},
        training={"max_updates": 2, "evaluate_every": 2, "metric": "loss"},
    )
    assert ps.train(config, tmp_path / "run").scores
    translator = ps.load(tmp_path / "run")
    assert ps.evaluate(translator, pairs[:1]).examples == 1
