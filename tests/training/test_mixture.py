"""Mixtures: shares of an epoch by weights and by temperature, reproducible, exactly resumable."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import penstock as ps
from conftest import assert_resumes_exactly
from penstock.data.grammar import generate_pairs
from penstock.data.store import MixedStore, mixture_shares
from penstock.training.corpus import Corpus, prepare_corpus


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Two corpora, the second one a fifth of the first, its sources marked."""
    pairs = generate_pairs(360)
    rows = [f"{p.source}\t{p.target}\n" for p in pairs]
    (tmp_path / "large.tsv").write_text("".join(rows[:300]), encoding="utf-8")
    (tmp_path / "small.tsv").write_text("".join(f"xx {r}" for r in rows[300:]), encoding="utf-8")
    (tmp_path / "valid.tsv").write_text("one\tun\ntwo\tdeux\n")
    return tmp_path


def _config(texts: Path, **data: Any) -> ps.RunConfig:
    names = [str(texts / "large.tsv"), str(texts / "small.tsv")]
    return ps.RunConfig(
        device="cpu",
        threads=1,
        data={"train": names, "valid": str(texts / "valid.tsv"), "workers": 1, **data},
        text={"source": {"kind": "word", "min_frequency": 1}},
        model={"embedding_size": 8, "hidden_size": 8},
        training={"batch_tokens": 200, "metric": "loss", "max_updates": 2, "evaluate_every": 2},
    )


def _prepared(config: ps.RunConfig, folder: Path, said: list[str] | None = None) -> Corpus:
    return prepare_corpus(config, folder, [].append if said is None else said.append)


def _epoch(corpus: Corpus, config: ps.RunConfig, number: int, skip: int = 0) -> list[Any]:
    batches = corpus.sampler(config).epoch(number, skip=skip)
    return [batch.src.tolist() for batch in batches]


def _marked(corpus: Corpus, batches: list[Any]) -> tuple[int, int]:
    """The rows of the small corpus, and all."""
    mark = corpus.source.encode("xx")[0]
    rows = [row for batch in batches for row in batch]
    return sum(row[0] == mark for row in rows), len(rows)


def test_weights_are_shares_of_an_epoch(texts: Path, tmp_path: Path) -> None:
    config = _config(texts, weights=[1.0, 3.0])
    said: list[str] = []
    corpus = _prepared(config, tmp_path / "x", said)
    assert isinstance(corpus.store, MixedStore)
    marked, rows = _marked(corpus, _epoch(corpus, config, 0))
    assert rows == pytest.approx(360, abs=2)
    assert marked == pytest.approx(270, abs=1)  # each of 60 comes 4.5 times
    assert f"{texts / 'small.tsv'}: 60 pairs, each 4.5 times per epoch" in said
    assert f"{texts / 'large.tsv'}: 300 pairs, each 0.3 times per epoch" in said
    counts = Counter(tuple(row) for batch in _epoch(corpus, config, 0) for row in batch)
    assert sum(counts.values()) == rows


def test_epochs_differ_and_are_reproducible(texts: Path, tmp_path: Path) -> None:
    config = _config(texts, temperature=5.0)
    corpus = _prepared(config, tmp_path / "x")
    first, second = (_epoch(corpus, config, number) for number in (0, 1))
    again = _prepared(config, tmp_path / "y")
    assert _epoch(again, config, 0) == first != second
    assert _epoch(corpus, config, 1, skip=2) == second[2:]
    every = {tuple(row) for n in range(6) for batch in _epoch(corpus, config, n) for row in batch}
    assert len(every) > 0.8 * 360  # another part of the large one in each epoch


def test_shares_by_size_temperature_and_weight() -> None:
    assert mixture_shares([300, 100], None, 1.0) == [0.75, 0.25]
    assert mixture_shares([300, 100], [1.0, 1.0], None) == [0.5, 0.5]
    assert mixture_shares([1600, 100], None, 2.0) == [0.8, 0.2]
    assert mixture_shares([300, 100], [1.0, 3.0], 1.0) == [0.5, 0.5]
    assert mixture_shares([10**9, 10], None, 1000.0) == pytest.approx([0.5, 0.5], abs=0.01)


def test_a_mixture_resumes_exactly(texts: Path, tmp_path: Path) -> None:
    names = [str(texts / "large.tsv"), str(texts / "small.tsv")]
    assert_resumes_exactly(
        "translation", texts, tmp_path, f"data.train={names}", "data.weights=[1.0,3.0]",
        f"data.valid='{texts / 'valid.tsv'}'", "training.batch_tokens=400", "data.workers=1",
    )  # fmt: skip


def test_held_out_pairs_are_of_all_corpora(texts: Path, tmp_path: Path) -> None:
    config = _config(texts, weights=[1.0, 1.0], valid=None)
    corpus = _prepared(config, tmp_path / "x")
    assert 0 < sum(pair.source.startswith("xx") for pair in corpus.valid) < len(corpus.valid)
    held_out = {tuple(corpus.source.encode(pair.source)) for pair in corpus.valid}
    rows = (tuple(r) for batch in _epoch(corpus, config, 0) for r in batch)
    assert held_out.isdisjoint(row[: row.index(3)] if 3 in row else row for row in rows)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ({"weights": [1.0, 2.0, 3.0]}, "a weight for each: found 2 and 3 weights"),
        ({"temperature": 2.0, "train": "x.tsv"}, "a mixture has several names in data.train"),
        ({"weights": [1.0, 0.0]}, "each must be above 0"),
        ({"weights": [1.0, 2.0], "max_pairs": 5}, "a mixture has no data.max_pairs"),
    ],
)
def test_impossible_mixtures(texts: Path, data: dict[str, Any], what: str) -> None:
    with pytest.raises(ps.ConfigError, match=what):
        _config(texts, **data)


def test_line_parallel_files_are_no_mixture(texts: Path, tmp_path: Path) -> None:
    names = [str(texts / "a.en"), str(texts / "a.fr")]
    for name in names:
        Path(name).write_text("one\n" * 20)
    with pytest.raises(ps.DataError, match=r"a\.en, line 1: expected 2 columns, found 1"):
        _prepared(_config(texts, weights=[1.0, 2.0], train=names), tmp_path / "x")
