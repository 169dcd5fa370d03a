"""A split never leaks, does not depend on the order of its input, and is all or nothing."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from penstock.cli.data import app
from penstock.data import split as split_module
from penstock.data.check import check_corpus
from penstock.data.formats.readers import ReadOptions, read_pairs
from penstock.data.source_keys import fold, stable_hash
from penstock.data.split import split_corpus
from penstock.errors import DataError, UsageError

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """200 sources with one to three targets, no target shared."""
    path = tmp_path / "corpus.tsv"
    rows = [f"source {i}\ttarget {i} {j}\n" for i in range(200) for j in range(1 + i % 3)]
    path.write_text("".join(rows), encoding="utf-8")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_of_a_small_file_one_in_ten_is_held_out(tmp_path: Path) -> None:
    path = tmp_path / "small.tsv"
    path.write_text("".join(f"source {n}\ttarget {n}\n" for n in range(250)), encoding="utf-8")
    report = split_corpus(path, tmp_path / "out")
    assert (report.train_pairs, report.valid_sources, report.test_sources) == (200, 25, 25)
    fewer = split_corpus(path, tmp_path / "fewer", test=3)
    assert (fewer.train_pairs, fewer.valid_sources, fewer.test_sources) == (222, 25, 3)
    with pytest.raises(DataError, match="only 250 distinct sources, and 325 are to be held out"):
        split_corpus(path, tmp_path / "more", test=300)


def test_nothing_crosses_and_nothing_is_lost(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = split_corpus(corpus, out, valid=20, test=30)
    train, valid, test = (
        list(read_pairs(out / name)) for name in ("train.tsv", "valid.jsonl", "test.jsonl")
    )
    assert (len(valid), len(test)) == (20, 30) == (report.valid_sources, report.test_sources)
    sources = [{pair.source for pair in part} for part in (train, valid, test)]
    assert sum(map(len, sources)) == len(set.union(*sources)) == 200
    found = [
        (p.source, target) for part in (train, valid, test) for p in part for target in p.targets
    ]
    assert sorted(found) == sorted((p.source, p.target) for p in read_pairs(corpus))
    assert report.train_pairs == len(train)
    assert report.dropped_pairs == 0
    assert sorted(path.name for path in out.iterdir()) == ["test.jsonl", "train.tsv", "valid.jsonl"]


def test_train_is_shuffled(corpus: Path, tmp_path: Path) -> None:
    split_corpus(corpus, tmp_path / "out", valid=1, test=0)
    order = [pair.source for pair in read_pairs(tmp_path / "out" / "train.tsv")]
    rank = {source: number for number, source in enumerate(dict.fromkeys(order))}
    numbers = [int(source.split()[1]) for source in rank]
    rising = sum(a < b for a, b in pairwise(numbers))
    assert 70 < rising < 130


def test_the_same_seed_gives_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        split_corpus(corpus, tmp_path / name, valid=20, test=20, seed=seed)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    first, other = (contents(tmp_path / name) for name in ("a", "c"))
    assert all(first[name] != other[name] for name in first)


def test_held_out_sentences_do_not_depend_on_the_order(corpus: Path, tmp_path: Path) -> None:
    turned = tmp_path / "turned.tsv"
    rows = corpus.read_text(encoding="utf-8").split("\n")[:-1]
    turned.write_text("\n".join(reversed(rows)) + "\n", encoding="utf-8")
    split_corpus(corpus, tmp_path / "a", valid=10, test=10)
    split_corpus(turned, tmp_path / "b", valid=10, test=50)
    a, b = ([p.source for p in read_pairs(tmp_path / n / "valid.jsonl")] for n in ("a", "b"))
    assert a == b


def test_hashes_are_pinned() -> None:
    # another hash would silently move every sentence of every published split
    assert stable_hash("Go.", 1) == 9255474218716679207
    assert stable_hash("Go.", 1) != stable_hash("Go.", 2)
    assert fold("  Go\u202f! ") == fold("go !") == "go !"


def test_variants_of_one_sentence_stay_together(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    rows = [f"{text}\t{i} {text}\n" for i in range(40) for text in (f"Go {i} !", f"GO\u00a0{i} !")]
    path.write_text("".join(rows), encoding="utf-8")
    split_corpus(path, tmp_path / "out", valid=10, test=0)
    held = list(read_pairs(tmp_path / "out" / "valid.jsonl"))
    assert len(held) == 10
    assert all(pair.source.startswith("Go ") for pair in held)  # as first spelt
    assert all(len(pair.targets) == 2 for pair in held)


def test_no_training_pair_has_a_held_out_target(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("".join(f"s{i}\tT{i // 2}\n" for i in range(100)), encoding="utf-8")
    report = split_corpus(path, tmp_path / "out", valid=10, test=10)
    held = {
        t
        for n in ("valid", "test")
        for p in read_pairs(tmp_path / "out" / f"{n}.jsonl")
        for t in p.targets
    }
    train = list(read_pairs(tmp_path / "out" / "train.tsv"))
    assert report.dropped_pairs > 0
    assert not held & {pair.target for pair in train}
    assert len(train) + report.dropped_pairs == 80
    kept = split_corpus(path, tmp_path / "kept", valid=10, test=10, keep_shared_targets=True)
    assert (kept.train_pairs, kept.dropped_pairs) == (80, 0)


def test_the_command_names_the_flag_that_keeps_shared_targets(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("".join(f"s{i}\tt{i % 40}\n" for i in range(80)), encoding="utf-8")
    arguments = ["split", str(path), "--out", str(tmp_path / "o"), "--valid", "5", "--test", "5"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "use --keep-shared-targets" in result.stderr.replace("\n", " ")


def test_labels_as_targets_are_an_error_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("".join(f"s{i}\tyes\n" for i in range(10)), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"no pair is left to train on \(8 have a held-out target\)"
    ):
        split_corpus(path, tmp_path / "out", valid=1, test=1)
    assert list((tmp_path / "out").iterdir()) == []


def test_too_few_sources(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only 200 distinct sources, and 300 are to be held out"):
        split_corpus(corpus, tmp_path / "out", valid=150, test=150)
    assert not (tmp_path / "out").exists()


def test_buckets_make_a_shuffle_too(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split_corpus(corpus, tmp_path / "one", valid=5, test=5)
    monkeypatch.setattr(split_module, "_BUCKET_PAIRS", 20)
    split_corpus(corpus, tmp_path / "many", valid=5, test=5)
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


def test_line_breaks_and_tabs_in_texts_do_not_break_the_tsv(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    rows = [{"source": f"a\n{i}\tb", "targets": [f"c\r\n{i}"]} for i in range(20)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    report = split_corpus(path, tmp_path / "out", valid=5, test=0)
    train = {(pair.source, pair.target) for pair in read_pairs(tmp_path / "out" / "train.tsv")}
    assert report.cleaned_texts == 30
    assert len(train) == 15
    assert train < {(f"a {i} b", f"c {i}") for i in range(20)}


side = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
visible = side.filter(lambda text: bool(fold(text)))


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(pairs=st.lists(st.tuples(visible, visible), min_size=1), seed=st.integers(0, 3))
def test_any_text_splits_without_leak(
    tmp_path: Path, pairs: list[tuple[str, str]], seed: int
) -> None:
    path, out = tmp_path / "x.jsonl", tmp_path / "out"
    rows = [{"source": source, "target": target} for source, target in pairs]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    try:
        report = split_corpus(path, out, valid=1, test=0, seed=seed, overwrite=True)
    except DataError:  # one sentence in all, or one target for all: tested above
        return
    (held,) = read_pairs(out / "valid.jsonl")
    train = list(read_pairs(out / "train.tsv"))
    assert len(train) == report.train_pairs
    assert fold(held.source) not in {fold(pair.source) for pair in train}
    assert not {fold(t) for t in held.targets} & {fold(pair.target) for pair in train}
    (leak,) = check_corpus(out / "train.tsv", held_out=[out / "valid.jsonl"]).leakage
    assert (leak.train_sources.count, leak.train_targets.count) == (0, 0)


def test_existing_files_are_not_replaced_unless_told(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    split_corpus(corpus, out, valid=5, test=5)
    before = contents(out)
    with pytest.raises(UsageError, match=r"train\.tsv, .*: already there; choose another folder"):
        split_corpus(corpus, out, valid=6, test=0)
    assert contents(out) == before
    split_corpus(corpus, out, valid=6, test=0, overwrite=True)
    # the earlier test file would share sentences with the new training file
    assert sorted(contents(out)) == ["train.tsv", "valid.jsonl"]


def test_a_failure_leaves_the_earlier_split_whole(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    split_corpus(corpus, out, valid=5, test=5)
    before = contents(out)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(split_module, "_write_held_out", full)
    with pytest.raises(DataError, match="out: cannot be written: No space left on device"):
        split_corpus(corpus, out, valid=6, test=6, overwrite=True)
    assert contents(out) == before


def test_a_file_that_changes_meanwhile(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gather = split_module._gather

    def shortened(*arguments: Any) -> Any:
        corpus.write_text("another\tautre\n", encoding="utf-8")
        return gather(*arguments)

    monkeypatch.setattr(split_module, "_gather", shortened)
    with pytest.raises(DataError, match=r"corpus\.tsv: changed while it was being split"):
        split_corpus(corpus, tmp_path / "out", valid=5, test=5)


def test_misuse(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="reads its data three times; save the stream to a file"):
        split_corpus("-", tmp_path / "out")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="save the stream to a file first"):
        split_corpus(tmp_path / "pipe", tmp_path / "out")
    with pytest.raises(UsageError, match="valid 0, test 0: at least one must be above 0"):
        split_corpus(corpus, tmp_path / "out", valid=0, test=0)
    own = corpus.rename(tmp_path / "train.tsv")
    with pytest.raises(UsageError, match="would replace its own input; choose another output"):
        split_corpus(own, tmp_path, overwrite=True)


def test_the_command(corpus: Path, tmp_path: Path) -> None:
    arguments = ["split", str(corpus), "--out", str(tmp_path / "o"), "--valid", "5", "--test", "0"]
    run = CliRunner().invoke(app, arguments)
    assert run.exit_code == 0
    assert "valid.jsonl: 5 sentences with all their targets" in run.stdout
    run = CliRunner().invoke(app, [*arguments, "--overwrite", "--json"])
    assert json.loads(run.stdout)["valid_sources"] == 5
    run = CliRunner().invoke(app, arguments)
    assert isinstance(run.exception, UsageError)


def test_real_parallel_files(tmp_path: Path) -> None:
    folder = SHARED / "multi30k"
    if not folder.exists():
        pytest.skip(f"the shared data are not at {SHARED}")
    source = [folder / "train.de.gz", folder / "train.en.gz"]
    report = split_corpus(source, tmp_path / "out", valid=500, test=500)
    held = [tmp_path / "out" / "valid.jsonl", tmp_path / "out" / "test.jsonl"]
    leaks = check_corpus(tmp_path / "out" / "train.tsv", held_out=held).leakage
    assert [(leak.sentences, leak.sources) for leak in leaks] == [(500, 0), (500, 0)]
    assert all(leak.train_targets.count == 0 for leak in leaks)
    assert report.train_pairs > 27_900


def test_columns_of_the_source_stay_columns(tmp_path: Path) -> None:
    path = tmp_path / "forms.tsv"
    path.write_text("".join(f"lemma{n}\tform{n}\tN;PL\n" for n in range(40)), encoding="utf-8")
    split_corpus(path, tmp_path / "out", options=ReadOptions(columns=((1, 3), 2)))
    options = ReadOptions(columns=((1, 2), 3))
    names = ("train.tsv", "valid.jsonl", "test.jsonl")
    found = [pair for name in names for pair in read_pairs(tmp_path / "out" / name, options)]
    rows = {(f"lemma{n}\tN;PL", (f"form{n}",)) for n in range(40)}
    assert {(pair.source, pair.targets) for pair in found} == rows
