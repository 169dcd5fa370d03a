"""CONTRIBUTING's recipe for a file format, followed from outside the package: a function, a line.

`source ||| target`, the input of fast_align and the separator of Moses' phrase tables
(https://github.com/clab/fast_align).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import penstock as ps
from penstock.cli.data import app
from penstock.data.formats.column_choice import ColumnChoice
from penstock.data.formats.format_table import FORMATS
from penstock.data.formats.input_lines import BadLineError, scan_lines
from penstock.data.formats.records import Record, Report, read_table
from penstock.data.grammar import generate_pairs


def read_bars(path: str | Path, chosen: ColumnChoice, report: Report) -> Iterator[Record]:
    """One pair per line, its sides separated by ` ||| `."""
    rows = (
        line if isinstance(line, BadLineError) else (line.number, line.text.split(" ||| "))
        for line in scan_lines(path)
    )
    return read_table(path, rows, "|||", chosen, report)


@pytest.fixture(autouse=True)
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, ".bars", read_bars)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.bars"
    rows = "".join(f"{pair.source} ||| {pair.target}\n" for pair in generate_pairs(120))
    path.write_text(rows, encoding="utf-8")
    return path


def test_it_reads_plain_and_compressed_and_in_chosen_columns(tmp_path: Path) -> None:
    content = "a\tb ||| c\nd ||| e\n"
    plain, packed = tmp_path / "x.bars", tmp_path / "x.BARS.gz"
    plain.write_text(content)
    packed.write_bytes(gzip.compress(content.encode()))
    for path in (plain, packed):
        assert list(ps.read_pairs(path)) == [
            ps.Pair("a\tb", ("c",), 1),
            ps.Pair("d", ("e",), 2),
        ]
    turned = ps.read_pairs(plain, ps.ReadOptions(columns=(2, 1)))
    assert [(pair.source, pair.target) for pair in turned] == [("c", "a\tb"), ("e", "d")]


def test_a_bad_line_names_place_and_remedy_and_may_be_skipped(tmp_path: Path) -> None:
    path = tmp_path / "x.bars"
    path.write_text("a ||| b\nc\td\ne ||| f\n")
    message = (
        r"x\.bars, line 2: expected 2 columns, found 1; separate source and target by a \|\|\|"
    )
    with pytest.raises(ps.DataError, match=message):
        list(ps.read_pairs(path))
    skipped: list[str] = []
    pairs = ps.read_pairs(path, ps.ReadOptions(on_error="skip", report=skipped.append))
    assert [pair.line for pair in pairs] == [1, 3]
    assert "skipped 1 line" in skipped[0]


def test_the_commands_know_it(corpus: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["check", str(corpus), "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["pairs"] == 120
    assert not report["unusable"]["count"]
    assert len(list(ps.read_pairs([corpus, corpus]))) == 240  # not two line-parallel files


def test_it_trains_and_evaluates(corpus: Path, tmp_path: Path) -> None:
    written: Any = ps.RunConfig
    config = written(
        threads=1,
        device="cpu",
        data={"train": str(corpus), "valid": str(corpus)},
        text={"source": {"kind": "word", "min_frequency": 1}},
        model={"embedding_size": 8, "hidden_size": 8},
        training={"max_updates": 2, "evaluate_every": 2, "metric": "loss"},
    )
    assert ps.train(config, tmp_path / "run").scores
    first = next(ps.read_pairs(corpus))
    translator = ps.load(tmp_path / "run")
    assert ps.evaluate(translator, [(first.source, first.target)]).examples == 1


def test_an_unknown_suffix_means_tabs(tmp_path: Path) -> None:
    path = tmp_path / "x.barz"
    path.write_text("a ||| b\n")
    with pytest.raises(ps.DataError, match="separate source and target by a tab"):
        list(ps.read_pairs(path))
