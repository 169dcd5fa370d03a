"""A sweep: its settings as they are written, its runs, what came of them."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import penstock as ps
from penstock.cli.app import run as run_command
from penstock.config import dump_toml
from penstock.data.grammar import generate_pairs
from penstock.errors import ConfigError, UsageError
from penstock.training import sweep_runs
from penstock.training.sweep_settings import (
    Range,
    combinations,
    parse_settings,
    run_name,
    takes_list,
)

SETTINGS: dict[str, Any] = {
    "threads": 1,
    "device": "cpu",
    "data": {"valid_pairs": 3},
    "text": {"source": {"kind": "char"}, "target": {"kind": "char"}},
    "model": {"cell": "gru", "embedding_size": 4, "hidden_size": 4, "decoder_layers": 1},
    "training": {
        "max_updates": 2,
        "evaluate_sentences": 2,
        "precision": "fp32",
        "metric": "loss",
        "export": "none",
    },
    "search": {"max_length_ratio": 0.1, "max_length_extra": 2},
}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("model.cell=gru,lstm", ["gru", "lstm"]),
        ("model.dropout=0.2, 0.3", [0.2, 0.3]),
        ("model.residual=true,false", [True, False]),
        ("training.patience=none,5", ["none", 5]),
        ('text.source.separator=",",";"', [",", ";"]),
        ('text.source.separator=","', [","]),
        ('data.train=["a.de","a.en"]', [["a.de", "a.en"]]),
        ('data.train=["a.de","a.en"],["b.de","b.en"]', [["a.de", "a.en"], ["b.de", "b.en"]]),
        ('data.train="a.tsv","b.tsv"', ["a.tsv", "b.tsv"]),
        ("data.train=my pairs.tsv", ["my pairs.tsv"]),
        ("model.dropout=0.1..0.5", Range(0.1, 0.5)),
        ("model.hidden_size=64..512", Range(64, 512)),
        ("model.hidden_size=64..512:64", Range(64, 512, step=64)),
        ("training.learning_rate=1e-4..1e-2:log", Range(1e-4, 1e-2, log=True)),
    ],
)
def test_how_values_are_written(text: str, values: Any) -> None:
    assert parse_settings([text]) == {text.partition("=")[0]: values}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model.cell", "write it as section.key=value or key=A,B"),
        ("data.train=train.en,train.fr", 'data.train may be a list.*"A","B" are two values'),
        ("model.cell=gru,,lstm", "a value is empty, or there twice"),
        ("model.cell=gru,gru", "a value is empty, or there twice"),
        ("model.dropout=0.5..0.1", r"range 0.5..0.1: needs LOW < HIGH"),
        ("model.dropout=0..1:log", r"needs 0 < LOW < HIGH"),
        ("model.hidden_size=64..128:0", r"a step of 0 needs 0 < STEP"),
    ],
)
def test_what_cannot_be_read_is_rejected(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_settings([text])


def test_a_range_needs_a_search() -> None:
    with pytest.raises(UsageError, match=r"model.dropout = 0.1..0.5: a range needs a search"):
        combinations({"model.dropout": Range(0.1, 0.5)})


def test_every_combination_has_a_name_of_its_own() -> None:
    settings = parse_settings(["text.source.kind=bpe,char", "text.target.kind=bpe,char"])
    names = {run_name(each, seed) for each in combinations(settings) for seed in (1, 2)}
    assert len(names) == 8
    assert run_name({"model.cell": "gru", "model.dropout": 0.2}, 1) == "cell-gru_dropout-0.2_seed-1"
    odd = [run_name({"data.train": path}, 1) for path in ("a/b", "a b", "a-b", "/" * 300)]
    assert len(set(odd)) == 4
    assert all(len(name) < 80 and "/" not in name for name in odd)


def test_the_keys_that_take_lists() -> None:
    assert takes_list("data.train")
    assert takes_list("data.columns")
    assert not takes_list("model.cell")
    assert not takes_list("text.source.kind")
    assert not takes_list("nothing.at.all")


class InProcess:
    """A process of a sweep that runs its command line here."""

    commands: list[list[str]]

    def __init__(self, command: list[str], *, stderr: Any, **_: Any) -> None:
        self.commands.append(command[3:])
        assert command[1:3] == ["-m", "penstock"]
        messages = io.StringIO()
        with redirect_stdout(io.TextIOWrapper(io.BytesIO())), redirect_stderr(messages):
            self.returncode = run_command(command[3:])
        stderr.write(messages.getvalue().encode())

    def poll(self) -> int:
        return self.returncode

    def terminate(self) -> None: ...


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the processes were asked, which run here."""
    InProcess.commands = []
    monkeypatch.setattr(sweep_runs.subprocess, "Popen", InProcess)
    monkeypatch.setattr(sweep_runs, "_POLL_SECONDS", 0.0)
    return InProcess.commands


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "pairs.tsv"
    rows = (f"{pair.source}\t{pair.target}\n" for pair in generate_pairs(30))
    path.write_text("".join(rows), encoding="utf-8")
    return path


def settings_of(data: Path) -> dict[str, Any]:
    return {**SETTINGS, "data": {**SETTINGS["data"], "train": str(data)}}


def test_a_sweep_trains_what_is_missing(
    data: Path, tmp_path: Path, commands: list[list[str]]
) -> None:
    chosen = {"model.cell": ["gru", "none such"], "training.learning_rate": [0.01]}
    found = ps.sweep(settings_of(data), chosen, tmp_path / "out", seeds=2)
    best, failed = found.rows
    assert best is found.best
    assert best.settings == {"model.cell": "gru"}
    scores = [ps.load_bundle(run.path).record["held_out"]["loss"] for run in best.runs]
    assert best.values == scores
    assert scores[0] != scores[1]
    assert best.mean == pytest.approx(sum(scores) / 2)
    assert best.spread == pytest.approx(abs(scores[0] - scores[1]) / 2**0.5)
    assert [run.path.name for run in best.runs] == ["cell-gru_seed-1", "cell-gru_seed-2"]
    assert failed.mean is failed.spread is None
    assert "unknown cell 'none such'" in failed.runs[0].failure
    assert len(commands) == 2

    log = best.runs[1].path / "log.jsonl"  # as if it had been killed
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    again = ps.sweep(settings_of(data), chosen, tmp_path / "out", seeds=3)
    assert again.best.values[:2] == scores
    assert len(again.best.values) == 3
    assert [command[-1] for command in commands[2:]] == ["--resume", commands[3][-1]]

    with pytest.raises(UsageError, match=r"was begun with training.learning_rate = 0.01, not 0.02"):
        ps.sweep(settings_of(data), {**chosen, "training.learning_rate": [0.02]}, tmp_path / "out")


def test_a_run_that_fails_does_not_end_the_others(
    data: Path, tmp_path: Path, commands: list[list[str]],
    penstock: Callable[..., tuple[int, str, str]],
) -> None:  # fmt: skip
    config = tmp_path / "small.toml"
    config.write_text(dump_toml(ps.RunConfig(**settings_of(data))), encoding="utf-8")
    files = f'data.train="{tmp_path / "absent.tsv"}","{data}"'
    code, out, err = penstock("sweep", config, "--set", files, "--out", tmp_path / "out")
    assert code == 0
    header, first, second = out.splitlines()
    assert header.split("\t") == ["data.train", "loss", "±", "runs", "failed", "minutes"]
    assert first.split("\t")[0] == str(data)
    assert second.split("\t")[1:5] == ["", "", "0", "1"]
    assert "no such file" in err
    code, out, err = penstock("sweep", config, "--set", files, "--out", tmp_path / "out", "--json")
    assert json.loads(out)["rows"][0]["mean"] == pytest.approx(
        float(first.split("\t")[1]), abs=1e-3
    )
    assert len(commands) == 3  # the one that failed is tried again
    code, _, err = penstock(
        "sweep", config, "--set", f"data.train='{tmp_path / 'absent.tsv'}'",
        "--out", tmp_path / "all",
    )  # fmt: skip
    assert code == 1
    assert "every run failed" in err


def test_settings_that_cannot_be_compared(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"training.metric: its runs cannot be compared"):
        ps.sweep(settings_of(data), {"training.metric": ["loss", "bleu"]}, tmp_path)
    with pytest.raises(UsageError, match="the seeds of a sweep are --seeds"):
        ps.sweep(settings_of(data), {"seed": [1, 2]}, tmp_path)
    with pytest.raises(ConfigError, match="unknown key 'cel'"):
        ps.sweep(settings_of(data), {"model.cel": ["gru"]}, tmp_path)
    with pytest.raises(UsageError, match=r"model.cell needs a list of values, found 'gru'"):
        ps.sweep(settings_of(data), {"model.cell": "gru"}, tmp_path)
    (tmp_path / "log.jsonl").touch()
    with pytest.raises(UsageError, match="holds a run, not a sweep"):
        ps.sweep(settings_of(data), {"model.cell": ["gru"]}, tmp_path)


def test_an_interrupt_ends_the_runs_gently(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    class Endless:
        returncode: int | None = None

        def __init__(self, *_: Any, **__: Any) -> None:
            signal.raise_signal(signal.SIGINT)

        def poll(self) -> int | None:
            return self.returncode

        def terminate(self) -> None:
            told.append("terminate")
            self.returncode = 130

    monkeypatch.setattr(sweep_runs.subprocess, "Popen", Endless)
    with pytest.raises(KeyboardInterrupt):
        ps.sweep(settings_of(data), {"model.cell": ["gru", "lstm"]}, tmp_path / "out")
    assert told == ["terminate"]


def test_a_search_proposes_and_goes_on_as_if_never_interrupted(
    data: Path, tmp_path: Path, commands: list[list[str]]
) -> None:
    space = {
        "model.dropout": Range(0.1, 0.5),
        "model.hidden_size": Range(2, 8, step=2),
        "training.learning_rate": Range(1e-4, 1e-2, log=True),
        "model.cell": ["gru", "none such"],
    }
    whole = ps.sweep(settings_of(data), space, tmp_path / "whole", trials=4)
    assert len(whole.rows) == 4
    for row in whole.rows:
        assert 0.1 <= row.settings["model.dropout"] <= 0.5
        assert row.settings["model.hidden_size"] in range(2, 9, 2)
        assert 1e-4 <= row.settings["training.learning_rate"] <= 1e-2
        assert bool(row.values) == (row.settings["model.cell"] == "gru")
    means = [row.mean for row in whole.rows if row.mean is not None]
    assert means == sorted(means)
    ps.sweep(settings_of(data), space, tmp_path / "parts", trials=2)
    before = len(commands)
    parts = ps.sweep(settings_of(data), space, tmp_path / "parts", trials=4)
    assert len(commands) - before <= 2
    assert [row.settings for row in parts.rows] == [row.settings for row in whole.rows]
    with pytest.raises(UsageError, match="a search over other keys"):
        ps.sweep(settings_of(data), {"model.dropout": Range(0, 1)}, tmp_path / "parts", trials=3)
    with pytest.raises(UsageError, match="nothing to search"):
        ps.sweep(settings_of(data), {"model.cell": ["gru"]}, tmp_path / "none", trials=3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--header", "yes", "--set", "data.header=no"), "data.header: set by a flag too"),
        (("--language-column", "0"), "columns count from 1"),
    ],
)
def test_flags_of_the_data_reach_the_configuration(
    penstock: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    flags: tuple[str, ...],
    message: str,
) -> None:
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("a\tb\n")
    code, _, err = penstock("sweep", pairs, *flags, "--out", tmp_path / "out")
    assert code == 2
    assert message in err
