"""Large corpora in shards: the same for any number of processes, kept, verified, made again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import penstock as ps
from conftest import quiet_console
from penstock.data import pair_shards, worker_processes
from penstock.data.grammar import generate_pairs
from penstock.data.pair import Pair
from penstock.data.pair_shards import PairShards, import_shards
from penstock.data.worker_processes import run_jobs
from penstock.training.corpus import Corpus, prepare_corpus
from penstock.training.examples import read_examples

FILES, PAIRS = 3, 240


@pytest.fixture(autouse=True)
def _small_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_shards, "JOB_BYTES", 2_000)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    pairs = generate_pairs(PAIRS)
    for number in range(FILES):
        own = pairs[number * 80 : (number + 1) * 80]
        rows = "".join(f"{p.source}\t{p.target}\n" for p in own)
        (tmp_path / f"{number}.tsv").write_text(rows, encoding="utf-8")
    return tmp_path


def _config(corpus: Path, **data: Any) -> ps.RunConfig:
    return ps.RunConfig(
        device="cpu",
        threads=1,
        data={"train": str(corpus / "?.tsv"), "valid_pairs": 20, **data},
        text={"source": {"kind": "word", "min_frequency": 1}},
        model={"embedding_size": 8, "hidden_size": 8},
        training={"max_updates": 2, "evaluate_every": 2, "metric": "loss"},
    )


def _prepared(config: ps.RunConfig, folder: Path, said: list[str] | None = None) -> Corpus:
    return prepare_corpus(config, folder, [].append if said is None else said.append)


def _rows(corpus: Corpus) -> list[list[int]]:
    sources, targets = corpus.store.read(range(corpus.store.num_blocks))
    return [[*sources.row(i), *targets.row(i)] for i in range(len(sources.lengths))]


def test_one_process_two_and_none_prepare_the_same(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = _prepared(_config(corpus, workers=1), tmp_path / "one")
    two = _prepared(_config(corpus, workers=2), tmp_path / "two")
    names = [sorted(p.name for p in (tmp_path / n).iterdir()) for n in ("one", "two")]
    assert names[0] == names[1]
    assert len([name for name in names[0] if name.startswith("tokens") and "arrow" in name]) > 4
    for name in names[0]:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    monkeypatch.setattr(pair_shards, "JOB_BYTES", 10**9)  # read as a small corpus is
    small = _prepared(_config(corpus), tmp_path / "small")
    assert _rows(small) == _rows(one)
    assert small.valid == one.valid == two.valid
    assert small.store.counts == one.store.counts


def test_held_out_sources_are_excluded_and_leakage_is_said(corpus: Path, tmp_path: Path) -> None:
    examples = read_examples(_config(corpus, workers=1), [].append, tmp_path / "x")
    assert isinstance(examples.training, PairShards)
    held_out = {pair.source for pair in examples.valid}
    assert len(held_out) == 20
    assert held_out.isdisjoint(pair.source for pair in examples.training())
    assert examples.count == len(list(examples.training())) == len(examples.training)
    said: list[str] = []
    config = _config(corpus, workers=1, valid=str(corpus / "0.tsv"))
    leaky = read_examples(config, said.append, tmp_path / "x")
    assert leaky.count == PAIRS
    assert any("80 of 80 held-out sources are in the training data" in text for text in said)


def test_finished_shards_are_kept_and_damaged_ones_made_again(corpus: Path, tmp_path: Path) -> None:
    config, folder = _config(corpus, workers=1), tmp_path / "x"
    rows = _rows(_prepared(config, folder))
    times = {path: path.stat().st_mtime_ns for path in folder.glob("*.arrow")}
    damaged = sorted(folder.glob("tokens*.arrow"))[1]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\0\0")
    text = sorted(folder.glob("pairs*.arrow"))[2]
    text.unlink()
    said: list[str] = []
    assert _rows(_prepared(config, folder, said)) == rows
    changed = {path for path, at in times.items() if path.stat().st_mtime_ns != at}
    assert changed == {damaged, text}
    assert any(f"{damaged}: damaged since it was written" in each for each in said)
    assert any("a shard of it is damaged or missing; it is made again" in each for each in said)


def test_a_changed_file_is_read_again_and_no_other(corpus: Path, tmp_path: Path) -> None:
    config, folder = _config(corpus, workers=1), tmp_path / "x"
    first = read_examples(config, [].append, folder)
    before = set(folder.glob("pairs*.arrow"))
    with (corpus / "2.tsv").open("a") as file:
        file.write("one more\tun de plus\n")
    second = read_examples(config, [].append, folder)
    assert len(set(folder.glob("pairs*.arrow")) - before) == 1
    assert second.count == first.count + 1
    assert second.fingerprint != first.fingerprint


def test_the_first_unusable_line_in_order_is_the_error(corpus: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        with (corpus / f"{number}.tsv").open("a") as file:
            file.write("no tab\n")
    with pytest.raises(ps.DataError, match=r"1\.tsv, line 81: expected 2 columns"):
        read_examples(_config(corpus, workers=2), [].append, tmp_path / "x")
    said: list[str] = []
    read_examples(_config(corpus, workers=1, on_error="skip"), said.append, tmp_path / "x")
    assert [text.count("expected 2") for text in said] == [1, 1]


def test_max_pairs_and_parallel_files(corpus: Path, tmp_path: Path) -> None:
    config = _config(corpus, workers=1, max_pairs=100, valid=str(corpus / "2.tsv"))
    assert read_examples(config, [].append, tmp_path / "x").count == 100
    for number in range(FILES):
        lines = (corpus / f"{number}.tsv").read_text().splitlines()
        for side, language in enumerate(("en", "fr")):
            texts = "".join(line.split("\t")[side] + "\n" for line in lines)
            (corpus / f"{number}.{language}").write_text(texts)
    names = [str(corpus / "*.en"), str(corpus / "*.fr")]
    config = _config(corpus).data.model_copy(update={"train": names})
    shards = import_shards(
        names, config, tmp_path / "y", [].append, has_one_text=False, seed=1, workers=1
    )
    assert [(p.source, p.target) for p in shards()] == [
        (p.source, p.target) for p in generate_pairs(PAIRS)
    ]


def test_a_dead_process_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def dead() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    monkeypatch.setattr(worker_processes, "_start", dead)
    with pytest.raises(ps.PenstockError, match=r"died \(-9\); if memory ran out, lower data.work"):
        list(run_jobs([{"do": "read"}] * 2, 2))


def test_a_run_on_shards_trains(corpus: Path, tmp_path: Path) -> None:
    from penstock.training.loop import train

    result = train(_config(corpus, workers=1), tmp_path / "run", console=quiet_console())
    assert result.best is not None


def test_keys_are_those_of_the_pairs(corpus: Path, tmp_path: Path) -> None:
    data = _config(corpus).data
    shards = import_shards(
        data.train, data, tmp_path / "x", [].append, has_one_text=False, seed=7, workers=1
    )
    keys = [pair_shards.source_key(pair, 7) for pair in shards()]
    assert np.concatenate(list(shards.source_keys())).tolist() == keys
    assert shards.smallest_keys(5) == sorted(set(keys))[:5]
    (found,) = shards.with_keys(keys[10:11])
    assert isinstance(found, Pair)
    assert list(shards.every(7)) == list(shards())[::7]
    assert shards.number_of([*keys[:3], 1]) == 3
