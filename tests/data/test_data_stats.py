"""Tokens per sequence, vocabulary sizes, unknown rates; table, JSON and figure."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from penstock.cli.data import app
from penstock.data.formats.readers import ReadOptions
from penstock.data.stats import corpus_stats, draw_lengths, split_words
from penstock.errors import DataError, MissingExtraError, PenstockError, UsageError

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "x.jsonl"
    rows = [
        {"source": "Go now.", "targets": ["Va\u202f!", "Va maintenant\u00a0!"]},
        {"source": "Go home, now!", "target": "Rentre!"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_words_are_the_chapters() -> None:
    assert split_words("Go, now!  Va\u202f! C'est\u00a0ça ?") == (
        ["go", ",", "now", "!", "va", "!", "c'est", "ça", "?"]
    )
    assert split_words("Wait...") == ["wait", ".", ".", "."]


def test_lengths_and_vocabulary(corpus: Path) -> None:
    stats = corpus_stats(corpus)
    assert stats.pairs == 3
    assert stats.source.lengths == {3: 1, 5: 1}
    assert stats.target.lengths == {2: 2, 3: 1}
    assert (stats.source.tokens, stats.source.mean, stats.source.longest) == (8, 4.0, 5)
    assert (stats.source.median, stats.source.p99) == (3, 5)
    # go now . | go home , now !
    sizes = {cut.min_frequency: cut.vocab_size for cut in stats.source.cutoffs}
    assert sizes == {1: 6, 2: 2, 3: 0, 5: 0, 10: 0}
    assert all(cut.unknown_rate is None for cut in stats.source.cutoffs)


def test_unknown_rate_of_a_held_out_file(corpus: Path, tmp_path: Path) -> None:
    held = tmp_path / "held.tsv"
    held.write_text("go home tonight .\tva !\n", encoding="utf-8")
    stats = corpus_stats(corpus, held_out=held, options=ReadOptions(max_pairs=2))
    rates = {cut.min_frequency: cut.unknown_rate for cut in stats.source.cutoffs}
    assert rates == {1: 0.25, 2: 0.75, 3: 1.0, 5: 1.0, 10: 1.0}
    assert stats.target.cutoffs[0].unknown_rate == 0.0


def test_another_tokenizer(corpus: Path) -> None:
    assert corpus_stats(corpus, tokenize=list).source.lengths == {7: 1, 13: 1}


def test_histogram_counts_every_sequence_once(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    rows = [f"{'a ' * n}\t{'b ' * (n % 7 + 1)}\n" for n in range(1, 120)]
    path.write_text("".join(rows) + f"{'a ' * 5000}\tb\n", encoding="utf-8")
    rows = corpus_stats(path).histogram()
    assert sum(row[2] for row in rows) == sum(row[3] for row in rows) == 120
    assert all(this[1] + 1 == following[0] for this, following in pairwise(rows))
    assert rows[-1][1:3] == (5000, 1)  # the outlier has a row of its own and hides no other
    assert 8 < len(rows) < 16


def test_no_pairs(tmp_path: Path) -> None:
    empty = tmp_path / "empty.tsv"
    empty.touch()
    with pytest.raises(DataError, match=r"empty\.tsv: no pairs to count"):
        corpus_stats(empty)


@pytest.mark.parametrize(("suffix", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_figure(corpus: Path, tmp_path: Path, suffix: str, start: bytes) -> None:
    pytest.importorskip("matplotlib")
    figure = tmp_path / f"lengths.{suffix}"
    draw_lengths(corpus_stats(corpus), figure)
    assert figure.read_bytes().startswith(start)


def test_figure_errors(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stats = corpus_stats(corpus)
    with pytest.raises(UsageError, match=r"x\.gif: a figure ends in \.svg, \.png, \.pdf"):
        draw_lengths(stats, tmp_path / "x.gif")
    with pytest.raises(PenstockError, match=r"x\.svg: cannot write: "):
        draw_lengths(stats, corpus / "x.svg")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'penstock\[plot\]'"):
        draw_lengths(stats, tmp_path / "x.svg")


def test_the_command(corpus: Path, tmp_path: Path) -> None:
    figure = tmp_path / "lengths.svg"
    arguments = ["stats", str(corpus), "--held-out", str(corpus)]
    run = CliRunner().invoke(app, [*arguments, "--figure", str(figure)])
    assert run.exit_code == 0
    assert figure.exists()
    assert "3 pairs" in run.stdout
    assert "unknown in held-out" in run.stdout
    assert "wrote" in run.stderr
    run = CliRunner().invoke(app, [*arguments, "--json"])
    measured = json.loads(run.stdout)
    assert measured["source"]["cutoffs"][0] == (
        {"min_frequency": 1, "vocab_size": 6, "unknown_rate": 0.0}
    )


def test_real_data() -> None:
    folder = SHARED / "multi30k"
    if not folder.exists():
        pytest.skip(f"the shared data are not at {SHARED}")
    val = [folder / "val.de.gz", folder / "val.en.gz"]
    stats = corpus_stats([folder / "train.de.gz", folder / "train.en.gz"], held_out=val)
    assert stats.pairs == 29_000
    assert sum(row[2] for row in stats.histogram()) == 29_000
    rates = [cut.unknown_rate or 0 for cut in stats.source.cutoffs]
    assert 0.02 < rates[0] < rates[-1] < 0.12
