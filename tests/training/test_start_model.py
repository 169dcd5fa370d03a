"""Going on from a model: what is kept, what is added, what is seen of forgetting."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import penstock as ps
from conftest import assert_resumes_exactly, quiet_console, task_config
from penstock.bundle import INDEX, load_bundle, save_bundle
from penstock.config import RunConfig, parse_config
from penstock.data.grammar import generate_pairs
from penstock.errors import BundleError, ConfigError, DataError, PenstockError, UsageError
from penstock.files import with_checksum
from penstock.runtime.torch_network import load_network
from penstock.special_tokens import UNK_ID
from penstock.training.loop import train
from penstock.training.progress import read_log
from penstock.training.start_defaults import RATE, start_defaults

OLD: dict[str, Any] = {
    "threads": 1,
    "device": "cpu",
    "data": {"valid_pairs": 6},
    "text": {"source": {"kind": "char"}, "target": {"kind": "bpe", "vocab_size": 280}},
    "model": {"cell": "gru", "embedding_size": 8, "hidden_size": 8, "decoder_layers": 1},
    "training": {
        "max_updates": 6,
        "evaluate_every": 4,
        "precision": "fp32",
        "metric": "loss",
        "average_decay": None,
        "export": "none",
        "warmup_updates": 2,
    },
    "search": {"max_length_ratio": 0.1, "max_length_extra": 3},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`old.tsv`, `new.tsv` with symbols that the old one lacks, and the run `old`."""
    folder = tmp_path_factory.mktemp("start")
    pairs = [p for p in generate_pairs(900) if len(p.source + p.target) < 50][:120]
    rows = [f"{p.source}\t{p.target}\n" for p in pairs]
    (folder / "old.tsv").write_text("".join(rows[:70]), encoding="utf-8")
    new = (f"ß{pair.source}\t{pair.target} 語\n" for pair in pairs[70:])
    (folder / "new.tsv").write_text("".join(new), encoding="utf-8")
    config = parse_config(OLD, values={"data.train": str(folder / "old.tsv")})
    train(config, folder / "old", console=quiet_console())
    return folder


def going_on(folder: Path, *overrides: str, **start: Any) -> RunConfig:
    """A run that goes on from `old` with `new.tsv`."""
    values = {"data.train": str(folder / "new.tsv"), "start.model": str(folder / "old")}
    values |= {f"start.{key}": value for key, value in start.items()}
    raw = {"threads": 1, "device": "cpu", "data": {"valid_pairs": 4}}
    precision = "training.precision=fp32"
    return parse_config(raw, [precision, *overrides], values=values, defaults=start_defaults)


def run(config: RunConfig, path: Path, **options: Any) -> str:
    console = quiet_console()
    train(config, path, console=console, **options)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def evaluations(path: Path) -> list[dict[str, Any]]:
    events = [event for event in read_log(path) if event["event"] == "evaluation"]
    return [{k: v for k, v in e.items() if k not in ("seconds", "train_loss")} for e in events]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_network(load_bundle(path)).named_parameters())


def test_it_begins_as_the_model_and_shows_forgetting(folder: Path, tmp_path: Path) -> None:
    config = going_on(folder, "training.learning_rate=0.1", "training.keep=last")
    shown = run(config, tmp_path / "run")
    before, after = evaluations(tmp_path / "run")[0], evaluations(tmp_path / "run")[-1]
    held_out = load_bundle(folder / "old").record["held_out"]
    assert before["update"] == 0
    assert before["old_loss"] == pytest.approx(held_out["loss"], rel=1e-5)
    assert before["old_bleu"] == held_out["bleu"]
    assert after["old_loss"] != before["old_loss"]
    assert f"on the old data:  held-out loss {before['old_loss']:.3f}" in shown
    assert f"on the old data {before['old_loss']:.3f} → {after['old_loss']:.3f}" in shown
    assert re.search(r"source: the vocabulary lacks .* unknown so far: 'ß' \d+", shown)
    assert re.search(r"target: the vocabulary lacks .* spelled in bytes so far: '語' \d+", shown)


def test_the_settings_are_the_models_with_a_lower_rate(folder: Path) -> None:
    config, old = going_on(folder), load_bundle(folder / "old").config
    assert (config.model, config.text, config.search) == (old.model, old.text, old.search)
    assert config.training.learning_rate == RATE * old.training.learning_rate
    assert going_on(folder, "training.learning_rate=0.5").training.learning_rate == 0.5


def test_an_extended_vocabulary_keeps_the_old_rows(folder: Path, tmp_path: Path) -> None:
    config = going_on(folder, "training.max_updates=1", extend_vocabulary=True)
    frozen = config.training.model_copy(update={"learning_rate": 1e-12, "weight_decay": 0.0})
    run(config.model_copy(update={"training": frozen}), tmp_path / "run")
    old, new = load_bundle(folder / "old"), load_bundle(tmp_path / "run")
    assert UNK_ID in old.source_tokenizer.encode("ß")
    assert new.source_tokenizer.encode("ß") == [old.source_tokenizer.vocab_size]
    assert new.target_tokenizer.tokens(new.target_tokenizer.encode("a 語"))[-1] == "語"
    assert new.target_tokenizer.decode(new.target_tokenizer.encode("a 語")) == "a 語"
    grown = 0
    for (name, before), after in zip(
        weights(folder / "old").items(), weights(tmp_path / "run").values(), strict=True
    ):
        torch.testing.assert_close(after[: len(before)], before, rtol=0, atol=1e-9)
        grown += len(after) > len(before)
        assert bool((after[len(before) :] != 0).all()), name  # drawn, not left empty
    assert grown == 3  # both embeddings, the output's bias


def test_a_run_with_replay_resumes_exactly(folder: Path, tmp_path: Path) -> None:
    replay = {"replay": str(folder / "old.tsv"), "replay_share": 0.4, "extend_vocabulary": True}

    def config(updates: int) -> RunConfig:
        return going_on(
            folder, "training.schedule=constant", f"training.max_updates={updates}", **replay
        )

    run(config(8), tmp_path / "whole")
    run(config(3), tmp_path / "parts")
    log = run(config(8), tmp_path / "parts", resume=True)
    assert "going on from update 3" in log
    whole, parts = evaluations(tmp_path / "whole"), evaluations(tmp_path / "parts")
    assert [e for e in parts if e["update"] != 3] == whole
    for name, value in weights(tmp_path / "whole").items():
        assert torch.equal(value, weights(tmp_path / "parts")[name]), name
    other = going_on(folder, **replay | {"model": str(tmp_path / "whole")})
    with pytest.raises(UsageError, match="goes on from another model than"):
        run(other, tmp_path / "parts", resume=True)


def test_held_out_sources_are_not_replayed(folder: Path, tmp_path: Path) -> None:
    config = going_on(folder, "training.max_updates=1", replay=str(folder / "old.tsv"))
    assert "64 old pairs, in 30% of the batches" in run(config, tmp_path / "run")  # of 70, 6
    data = config.data.model_copy(update={"train": str(folder / "old.tsv")})
    again = run(config.model_copy(update={"data": data}), tmp_path / "again")
    assert re.search(r"\d training pairs are left out: their sources are held out", again)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("text.source.kind=word", "text.source.kind = 'word': .* has its tokenizers.*'char'"),
        ("model.hidden_size=16", "model.hidden_size = 16: .* has its network, .* has 8; leave"),
        ("task=cloze", "task = 'cloze': .*old is a model for translation; leave it out"),
    ],
)
def test_another_network_is_rejected(
    folder: Path, tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(going_on(folder, override), tmp_path / "run")


def test_a_dropout_of_its_own_is_not(folder: Path) -> None:
    assert going_on(folder, "model.dropout=0.5").model.dropout == 0.5


def test_unusable_models(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    bundle = load_bundle(folder / "old")
    with pytest.raises(BundleError, match="no such directory"):
        ps.train(folder / "new.tsv", tmp_path / "run", start=model)
    with pytest.raises(BundleError, match="an export has no weights to go on from"):
        ps.train(folder / "new.tsv", tmp_path / "run", start="demo")
    save_bundle(bundle, model)
    index = json.loads((model / INDEX).read_text(encoding="utf-8"))
    del index["checksum"]
    (model / INDEX).write_text(json.dumps(with_checksum({**index, "format": 99})))
    with pytest.raises(BundleError, match=r"format 99, .*upgrade penstock"):
        ps.train(folder / "new.tsv", tmp_path / "run", start=model)
    with pytest.raises(ConfigError, match=r"start.*replay = 'x': only a run that goes on"):
        ps.train(folder / "new.tsv", tmp_path / "run", replay="x")


def test_without_the_old_data_there_are_no_old_scores(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.tsv"
    data.write_bytes((folder / "old.tsv").read_bytes())
    train(
        parse_config(OLD, values={"data.train": str(data), "training.max_updates": 1}),
        tmp_path / "old",
        console=quiet_console(),
    )
    data.write_bytes(data.read_bytes()[:-40])
    change = {"model": str(tmp_path / "old")}
    first = run(going_on(folder, "training.max_updates=1", **change), tmp_path / "first")
    assert "no scores on the old data" in first
    assert "name held-out data as start.valid" in first
    change["valid"] = str(folder / "old.tsv")
    second = run(going_on(folder, "training.max_updates=1", **change), tmp_path / "second")
    assert "on the old data:" in second


def test_from_the_command_line_and_python(
    folder: Path, tmp_path: Path, penstock: Callable[..., tuple[int, str, str]]
) -> None:
    flags = ["--set", "training.max_updates=1", "--set", "threads=1", "--set", "device=cpu"]
    code, _, err = penstock(
        "train", folder / "new.tsv", "--from", folder / "old", "--out", tmp_path / "run",
        "--replay", f"{folder / 'old.tsv'}:0.4", "--extend-vocabulary", *flags
    )  # fmt: skip
    assert code == 0, err
    assert "in 40% of the batches" in err
    assert re.search(r"target: the vocabulary lacks .* of the new data: \d+ added", err)
    config = {"data": {"train": str(folder / "new.tsv")}, "training": {"max_updates": 1}}
    again = ps.train(
        config, tmp_path / "python", start=folder / "old", replay=(folder / "old.tsv", 0.4),
        extend_vocabulary=True,
    )  # fmt: skip
    assert "in 40% of the batches" in again.messages
    code, _, err = penstock("train", folder / "new.tsv", "--from", tmp_path / "none")
    assert code == 1
    assert "none: no such directory" in err


@pytest.mark.parametrize("task", ["classification", "language-model", "cloze"])
def test_other_tasks_go_on_too(
    task: str, texts: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    fixture = "classifier_run" if task == "classification" else f"{task.replace('-', '_')}_run"
    old = request.getfixturevalue(fixture)
    data = texts / ("labels.tsv" if task == "classification" else "lines.txt")
    overrides = [f"start.model='{old}'", f"start.replay='{data}'", "start.extend_vocabulary=true"]
    assert_resumes_exactly(task, texts, tmp_path, *overrides)
    first = evaluations(tmp_path / "whole")[0]
    held_out = load_bundle(old).record["held_out"]
    assert first["old_loss"] == pytest.approx(held_out["loss"], rel=1e-4)


def test_a_new_label_is_added_or_named(classifier_run: Path, texts: Path, tmp_path: Path) -> None:
    rows = (texts / "labels.tsv").read_text(encoding="utf-8").replace("\tquestion", "\tquery")
    (tmp_path / "labels.tsv").write_text(rows, encoding="utf-8")

    def config(*overrides: str) -> RunConfig:
        start = [f"start.model='{classifier_run}'", "training.max_updates=1", *overrides]
        return task_config("classification", tmp_path, *start)

    with pytest.raises(DataError, match=r"'query'.*--extend-vocabulary adds new labels"):
        run(config(), tmp_path / "run")
    run(config("start.extend_vocabulary=true"), tmp_path / "wider")
    assert load_bundle(tmp_path / "wider").labels == ["statement", "question", "query"]


def test_a_frozen_encoders_vocabulary_takes_nothing(folder: Path) -> None:
    from penstock.text import Tokenizer

    tokenizer = load_bundle(folder / "old").source_tokenizer
    assert isinstance(tokenizer, Tokenizer)
    tokenizer._type = None  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(PenstockError, match="takes no further tokens"):
        tokenizer.extended(["x"])
