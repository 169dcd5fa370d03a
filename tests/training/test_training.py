"""Training: it learns, it stops when told, and interrupted equals uninterrupted."""

from __future__ import annotations

import io
import json
import math
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from conftest import quiet_console, tiny_config
from penstock.bundle import load_bundle
from penstock.config import RunConfig, TrainingConfig, load_config, parse_config
from penstock.data.grammar import generate_pairs
from penstock.errors import (
    BundleError,
    ConfigError,
    DataError,
    PenstockError,
    TrainingError,
    UsageError,
)
from penstock.nn import Seq2Seq
from penstock.runtime.device import choose_device
from penstock.runtime.torch_network import load_network
from penstock.tasks import TASKS
from penstock.tasks.translation.learner import Evaluator, TranslationLearner
from penstock.training import progress
from penstock.training.automatic import keep_choices
from penstock.training.batches import Batch
from penstock.training.initial_network import activation_bytes
from penstock.training.learner import HeldOutScores
from penstock.training.loop import TrainingResult, train
from penstock.training.processes import Processes
from penstock.training.progress import read_log
from penstock.training.run_directory import lock_run
from penstock.training.schedule import learning_rate

UPDATES = 12


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "pairs.tsv"
    pairs = [p for p in generate_pairs(900) if len(p.source + p.target) < 60]
    short = pairs[:90]
    assert len(short) == 90
    path.write_text("".join(f"{p.source}\t{p.target}\n" for p in short))
    return path


Config = Callable[..., RunConfig]


@pytest.fixture(scope="module")
def config(data: Path) -> Config:
    """A run of seconds: three evaluations in twelve updates, an epoch in about eight."""
    raw: dict[str, Any] = {
        "threads": 1,
        "device": "cpu",
        "data": {"train": str(data), "valid_pairs": 4},
        "text": {"source": {"kind": "char"}, "target": {"kind": "char"}},
        "model": {
            "cell": "gru",
            "embedding_size": 8,
            "hidden_size": 8,
            "decoder_layers": 2,
            "dropout": 0.3,
            "tie_embeddings": "none",
            "variational_dropout": False,
        },
        "training": {
            "max_updates": UPDATES,
            "batch_tokens": 400,
            "learning_rate": 0.01,
            "warmup_updates": 3,
            "evaluate_every": 4,
            "precision": "fp32",
            "metric": "loss",
            "average_decay": None,
            "patience": None,
        },
        "search": {"max_length_ratio": 0.1, "max_length_extra": 3},
    }

    def make(*overrides: str) -> RunConfig:
        return parse_config(raw, overrides)

    return make


def run_training(config: RunConfig, run: Path, **options: Any) -> tuple[TrainingResult, str]:
    console = quiet_console()
    result = train(config, run, console=console, **options)
    assert isinstance(console.file, io.StringIO)
    return result, console.file.getvalue()


def final_weights(run: Path) -> dict[str, torch.Tensor]:
    """Weights, optimizer and average of the last checkpoint."""
    from safetensors.torch import load_file

    (path,) = (run / "checkpoints").glob("*.safetensors")
    return load_file(path)


def evaluations(run: Path) -> list[dict[str, Any]]:
    """The log's evaluations without what depends on the clock."""
    events = [event for event in read_log(run) if event["event"] == "evaluation"]
    return [{k: v for k, v in event.items() if k != "seconds"} for event in events]


def assert_same_run(first: Path, second: Path) -> None:
    one, two = final_weights(first), final_weights(second)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, two[name]), name
    assert evaluations(first) == evaluations(second)
    models = [load_bundle(run) for run in (first, second)]
    assert models[0].record == models[1].record
    networks = [load_network(model) for model in models]
    for (name, a), (_, b) in zip(*(n.named_parameters() for n in networks), strict=True):
        assert torch.equal(a, b), name


class Killed(BaseException):
    """As if the process were gone at once."""


@contextmanager
def at_update(number: int, act: Callable[[], None]) -> Iterator[None]:
    """Do something in the midst of update `number` (from 1)."""
    calls = 0
    step = torch.optim.AdamW.step

    def counting(self: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            act()
        return step(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", counting)
        yield


def control_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def kill() -> None:
    raise Killed


# --- learning -----------------------------------------------------------------------------------


def test_a_run_learns_and_leaves_everything(tiny_run: Path) -> None:
    first, *_, last = evaluations(tiny_run)
    assert last["loss"] < first["loss"]
    assert last["train_loss"] < first["train_loss"] < math.log(300)
    settings = load_config(tiny_run / "config.toml")
    assert settings == keep_choices(tiny_config(), settings)
    assert load_bundle(tiny_run).record["update"] == last["update"] == 60
    assert read_log(tiny_run)[-1]["event"] == "stop"
    assert {path.name for path in tiny_run.glob("[!.]*")} == {
        "config.toml", "log.jsonl", "checkpoints", "data", "model",
    }  # fmt: skip


def test_a_run_is_the_same_twice(config: Config, tmp_path: Path) -> None:
    for name in "ab":
        run_training(config(), tmp_path / name)
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_another_seed_is_another_run(config: Config, tmp_path: Path) -> None:
    for seed in "12":
        run_training(config(f"seed={seed}", "training.max_updates=2"), tmp_path / seed)
    one, two = (final_weights(tmp_path / seed) for seed in "12")
    assert not torch.equal(one["model.decoder.output.weight"], two["model.decoder.output.weight"])


# --- exact resume -------------------------------------------------------------------------------

VARIANTS = {
    "plain": [],
    "bf16": ["training.precision=bf16"],
    "average": ["training.average_decay=0.9"],
    "accumulate": ["training.accumulate=2", "training.batch_tokens=200"],
    "variational lstm": ["model.cell=lstm", "model.variational_dropout=true"],
    "epochs": ["training.evaluate_every=none", "training.metric=bleu"],
    "plateau": ["training.schedule=plateau", "training.plateau_patience=1", "training.metric=bleu"],
}


@pytest.fixture(scope="module")
def uninterrupted(
    config: Config, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("whole")

    def make(variant: str) -> Path:
        run = folder / variant
        if not run.exists():
            run_training(config(*VARIANTS[variant]), run)
        return run

    return make


@pytest.mark.parametrize(
    ("variant", "update"),
    [*((variant, 8) for variant in VARIANTS), ("plain", 5), ("bf16", 11), ("accumulate", 7)],
)
def test_interrupted_and_resumed_is_uninterrupted(
    config: Config, uninterrupted: Any, tmp_path: Path, variant: str, update: int
) -> None:
    """Also at an update that ends with an evaluation (8)."""
    settings = config(*VARIANTS[variant])
    with at_update(update, control_c):
        result, said = run_training(settings, tmp_path / "run")
    assert result.interrupted
    assert f"stopped at update {update} " in said
    result, said = run_training(settings, tmp_path / "run", resume=True)
    assert not result.interrupted
    assert f"going on from update {update}" in said
    assert_same_run(uninterrupted(variant), tmp_path / "run")


@pytest.mark.parametrize("variant", ["plain", "bf16", "average"])
def test_killed_and_resumed_is_uninterrupted(
    config: Config, uninterrupted: Any, tmp_path: Path, variant: str
) -> None:
    """Killed after evaluations that the last checkpoint knows nothing of."""
    settings = config(*VARIANTS[variant])
    with at_update(3, control_c):
        run_training(settings, tmp_path / "run")
    with at_update(7, kill), pytest.raises(Killed):  # update 10 of the run
        run_training(settings, tmp_path / "run", resume=True)
    assert evaluations(tmp_path / "run")[-1]["update"] == 8
    run_training(settings, tmp_path / "run", resume=True)
    assert_same_run(uninterrupted(variant), tmp_path / "run")


def test_killed_before_the_first_checkpoint(
    config: Config, uninterrupted: Any, tmp_path: Path
) -> None:
    with at_update(6, kill), pytest.raises(Killed):
        run_training(config(), tmp_path / "run")
    run_training(config(), tmp_path / "run", resume=True)
    assert_same_run(uninterrupted("plain"), tmp_path / "run")


def test_killed_while_writing_a_checkpoint(
    config: Config, uninterrupted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    often = "training.checkpoint_minutes=1e-9"
    replace, done = Path.replace, 0

    def killing(path: Path, target: Any) -> Any:
        nonlocal done
        done += "state-" in str(target)
        if done == 6:
            raise Killed
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killing)
        with pytest.raises(Killed):
            run_training(config(often), tmp_path / "run")
    _, said = run_training(config(), tmp_path / "run", resume=True)
    assert re.search(r"going on from update [45]", said)
    assert_same_run(uninterrupted("plain"), tmp_path / "run")


def test_killed_after_its_first_model_it_goes_on(config: Config, tmp_path: Path) -> None:
    """No better model is lost: there is a checkpoint as soon as there is a model."""

    def kill() -> None:
        raise Killed

    with at_update(UPDATES - 1, kill), pytest.raises(Killed):
        run_training(config("training.evaluate_every=3"), tmp_path / "run")
    assert (tmp_path / "run" / "model").is_dir()
    _, said = run_training(config("training.evaluate_every=3"), tmp_path / "run", resume=True)
    assert "going on from update 3" in said


def test_what_does_not_fit_the_checkpoint_leaves_the_run_as_it_was(
    config: Config, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with at_update(3, control_c):
        run_training(config(), run)
    settled = (run / "config.toml").read_bytes()
    with pytest.raises(BundleError, match="of another model"):
        run_training(config("model.hidden_size=24"), run, resume=True)
    with pytest.raises(PenstockError, match="no such file"):
        run_training(config(f"data.train={tmp_path / 'absent.tsv'}"), run, resume=True)
    assert (run / "config.toml").read_bytes() == settled
    _, said = run_training(config("training.max_updates=5"), run, resume=True)
    assert "going on from update 3" in said
    assert b"max_updates = 5" in (run / "config.toml").read_bytes()


def test_without_a_checkpoint_it_says_that_it_starts_anew(config: Config, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with at_update(3, control_c):
        run_training(config(), run)
    shutil.rmtree(run / "checkpoints")
    _, said = run_training(config("training.max_updates=2"), run, resume=True)
    assert "no checkpoint to go on from: starting at update 0" in " ".join(said.split())


def test_interrupted_at_every_update(config: Config, uninterrupted: Any, tmp_path: Path) -> None:
    for _ in range(UPDATES):
        with at_update(1, control_c):
            run_training(config(), tmp_path / "run", resume=(tmp_path / "run").exists())
    run_training(config(), tmp_path / "run", resume=True)
    assert_same_run(uninterrupted("plain"), tmp_path / "run")


def test_a_second_control_c_does_not_wait(config: Config, tmp_path: Path) -> None:
    def twice() -> None:
        control_c()
        control_c()

    before = signal.getsignal(signal.SIGINT)
    with at_update(2, twice), pytest.raises(KeyboardInterrupt):
        run_training(config(), tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before


def test_resuming_a_finished_run_changes_nothing(
    config: Config, uninterrupted: Any, tmp_path: Path
) -> None:
    run_training(config(), tmp_path / "run")
    result, said = run_training(config(), tmp_path / "run", resume=True)
    assert result.progress.update == UPDATES
    assert "training.max_updates = 12 reached" in said
    assert_same_run(uninterrupted("plain"), tmp_path / "run")


def test_a_finished_run_goes_on_with_a_higher_limit(config: Config, tmp_path: Path) -> None:
    run_training(config("training.schedule=constant"), tmp_path / "a")
    longer = config("training.schedule=constant", "training.max_updates=16")
    run_training(longer, tmp_path / "a", resume=True)
    run_training(longer, tmp_path / "b")
    assert_same_run(tmp_path / "a", tmp_path / "b")


def test_out_of_memory_it_goes_on_in_parts_also_when_resumed(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn, most = TranslationLearner.loss, 5

    def loss(self: TranslationLearner, batch: Batch, *, label_smoothing: float) -> Tensor:
        if batch.rows > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return learn(self, batch, label_smoothing=label_smoothing)

    monkeypatch.setattr(TranslationLearner, "loss", loss)
    short, long = (
        config("training.schedule=constant", f"training.max_updates={n}") for n in (4, 8)
    )
    _, said = run_training(short, tmp_path / "a")
    run_training(long, tmp_path / "a", resume=True)
    run_training(long, tmp_path / "b")
    assert_same_run(tmp_path / "a", tmp_path / "b")
    assert "out of memory on cpu at update 1, for a batch of" in said
    assert "batches are computed in 2 parts from now on; to fit without, lower training." in said
    events = [e["parts"] for e in read_log(tmp_path / "a") if e["event"] == "out of memory"]
    assert events == [2 << i for i in range(len(events))]
    assert events


def test_resume_without_a_run_begins_one(config: Config, tmp_path: Path) -> None:
    result, _ = run_training(config("training.max_updates=1"), tmp_path / "run", resume=True)
    assert result.progress.update == 1


def test_a_line_cut_short_in_the_log_is_no_obstacle(
    config: Config, uninterrupted: Any, tmp_path: Path
) -> None:
    with at_update(6, control_c):
        run_training(config(), tmp_path / "run")
    with (tmp_path / "run" / "log.jsonl").open("a") as file:
        file.write('{"event": "evalu')
    run_training(config(), tmp_path / "run", resume=True)
    assert_same_run(uninterrupted("plain"), tmp_path / "run")


def test_a_damaged_checkpoint_is_told(config: Config, tmp_path: Path) -> None:
    with at_update(2, control_c):
        run_training(config(), tmp_path / "run")
    (state,) = (tmp_path / "run" / "checkpoints").glob("*.safetensors")
    state.write_bytes(state.read_bytes()[:-1])
    with pytest.raises(BundleError, match="altered or truncated; delete the checkpoints folder"):
        run_training(config(), tmp_path / "run", resume=True)
    (tmp_path / "run" / "checkpoints" / "checkpoint.json").write_text("{")
    with pytest.raises(BundleError, match="damaged checkpoint"):
        run_training(config(), tmp_path / "run", resume=True)


def test_a_checkpoint_of_another_model_is_told(config: Config, tmp_path: Path) -> None:
    with at_update(2, control_c):
        run_training(config(), tmp_path / "run")
    with pytest.raises(BundleError, match="the checkpoint is of another model"):
        run_training(config("model.hidden_size=16"), tmp_path / "run", resume=True)


def test_an_average_may_be_asked_for_when_resuming(config: Config, tmp_path: Path) -> None:
    with at_update(2, control_c):
        run_training(config(), tmp_path / "run")
    run_training(config("training.average_decay=0.9"), tmp_path / "run", resume=True)


def test_changed_data_is_told_when_resuming(config: Config, data: Path, tmp_path: Path) -> None:
    changed = tmp_path / "pairs.tsv"
    changed.write_text(data.read_text())
    settings = config(f"data.train={changed}")
    with at_update(2, control_c):
        run_training(settings, tmp_path / "run")
    lines = data.read_text().split("\n")
    changed.write_text("\n".join([*lines[:-1], "日本 日本\t日本 日本"]) + "\n")
    with pytest.raises(PenstockError, match="another model"):  # the vocabulary changed with it
        run_training(settings, tmp_path / "run", resume=True)
    changed.write_text("\n".join(reversed(lines[:-1])) + "\n")
    _, said = run_training(settings, tmp_path / "run", resume=True)
    assert "warning: the training data is not what it was" in said


def test_a_full_disk_at_the_checkpoint_keeps_the_one_before(
    config: Config, uninterrupted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with at_update(5, control_c):
        run_training(config(), tmp_path / "run")
    before = sorted((tmp_path / "run" / "checkpoints").iterdir())
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if "checkpoint.json" in path.name:
            raise OSError(28, "No space left on device")
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(PenstockError, match="No space left on device"):
            run_training(config(), tmp_path / "run", resume=True)
    assert sorted((tmp_path / "run" / "checkpoints").iterdir()) == before
    run_training(config(), tmp_path / "run", resume=True)
    assert_same_run(uninterrupted("plain"), tmp_path / "run")


# --- the run directory --------------------------------------------------------------------------


def test_an_existing_run_is_not_overwritten(tiny_run: Path) -> None:
    before = (tiny_run / "log.jsonl").read_bytes()
    with pytest.raises(UsageError, match=r"holds a run already; add --resume .* another --out"):
        run_training(tiny_config(), tiny_run)
    assert (tiny_run / "log.jsonl").read_bytes() == before
    misspelt = tiny_config("data.train=pairs.tvs")
    with pytest.raises(DataError, match=r"pairs\.tvs: no such file; check the path"):
        run_training(misspelt, tiny_run)


def test_a_run_that_failed_for_want_of_data_may_be_tried_again(
    config: Config, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="no such file"):
        run_training(config(f"data.train={tmp_path / 'none.tsv'}"), tmp_path / "run")
    run_training(config("training.max_updates=1"), tmp_path / "run")


def test_the_resolved_configuration_names_the_precision(config: Config, tmp_path: Path) -> None:
    run_training(config("training.precision=auto", "training.max_updates=1"), tmp_path)
    kept = load_config(tmp_path / "config.toml").training.precision
    assert kept in ("fp32", "bf16")


def test_the_precision_stays_unless_another_is_asked_for(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_training(config("training.precision=bf16", "training.max_updates=1"), tmp_path)

    def precision_after(wanted: str) -> str:
        settings = config(f"training.precision={wanted}", "training.max_updates=2")
        run_training(settings, tmp_path, resume=True)
        return load_config(tmp_path / "config.toml").training.precision

    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
    assert precision_after("auto") == "bf16"
    assert precision_after("fp32") == "fp32"


# --- stopping -----------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_stops(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, calls = Seq2Seq.loss, 0

    def spoilt(self: Seq2Seq, *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += self.training
        total, tokens = loss(self, *arguments, **options)
        return (total * math.nan if calls == 6 else total), tokens

    monkeypatch.setattr(Seq2Seq, "loss", spoilt)
    with pytest.raises(TrainingError) as caught:
        run_training(config(), tmp_path)
    assert "the loss is nan after update 5; the best model so far is kept in" in str(caught.value)
    assert "Lower training.learning_rate" in str(caught.value)
    assert load_bundle(tmp_path).record["update"] == 4


def test_gradients_that_are_not_finite_stop(config: Config, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.utils, "get_total_norm", lambda *_, **__: torch.tensor(math.inf))
        with pytest.raises(TrainingError, match="the gradient is inf after update 0; no model has"):
            run_training(config(), tmp_path)
    assert not (tmp_path / "model").exists()


def test_weights_blown_up_are_not_kept_as_the_best(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.training.loop.learning_rate", lambda *_, **__: 1e38)
    wild = ["training.evaluate_every=1", "training.metric=bleu"]
    with pytest.raises(TrainingError, match=r"the (loss|gradient|held-out loss) is (nan|inf)"):
        run_training(config(*wild), tmp_path)
    if (tmp_path / "model").exists():
        for parameter in load_network(load_bundle(tmp_path)).parameters():
            assert parameter.isfinite().all()


@pytest.fixture
def falling_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every evaluation is worse than the one before."""
    evaluate, calls = Evaluator.evaluate, 0

    def worse(self: Evaluator, processes: Processes) -> HeldOutScores:
        nonlocal calls
        calls += 1
        scores = evaluate(self, processes)
        metrics = {**scores.metrics, "bleu": 50.0 - calls}
        return replace(scores, loss=float(calls), metrics=metrics)

    monkeypatch.setattr(Evaluator, "evaluate", worse)


@pytest.mark.usefixtures("falling_scores")
@pytest.mark.parametrize("metric", ["loss", "bleu"])
def test_patience(config: Config, tmp_path: Path, metric: str) -> None:
    settings = config(
        "training.patience=2", "training.evaluate_every=1", f"training.metric={metric}"
    )
    result, said = run_training(settings, tmp_path)
    assert result.progress.update == 3
    assert f"no better {metric} in 2 evaluations (best " in said
    assert "at update 1)" in said
    assert load_bundle(tmp_path).record["update"] == 1
    result, _ = run_training(settings, tmp_path, resume=True)
    assert result.progress.update == 3


@pytest.mark.usefixtures("falling_scores")
def test_plateau(config: Config, tmp_path: Path) -> None:
    run_training(
        config(
            "training.schedule=plateau",
            "training.plateau_patience=2",
            "training.plateau_factor=0.1",
            "training.evaluate_every=1",
            "training.warmup_updates=0",
            "training.max_updates=6",
        ),
        tmp_path,
    )
    rates = [event["learning_rate"] for event in evaluations(tmp_path)]
    assert rates == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4])


def test_max_epochs_evaluates_once_at_the_end(config: Config, tmp_path: Path) -> None:
    result, said = run_training(
        config("training.max_epochs=2", "training.max_updates=999", "training.evaluate_every=1"),
        tmp_path,
    )
    assert result.progress.epoch == 2
    assert "training.max_epochs = 2 reached" in said
    updates = [event["update"] for event in evaluations(tmp_path)]
    assert updates == list(range(1, result.progress.update + 1))
    assert all(event["train_loss"] > 0 for event in evaluations(tmp_path))


def test_max_minutes(config: Config, tmp_path: Path) -> None:
    result, said = run_training(config("training.max_minutes=1e-9"), tmp_path)
    assert result.progress.update == 1
    assert "training.max_minutes = 1e-09 reached" in said
    assert len(evaluations(tmp_path)) == 1


# --- equivalences -------------------------------------------------------------------------------


def test_evaluating_does_not_change_training(config: Config, tmp_path: Path) -> None:
    for every in (1, 1000):
        run_training(config(f"training.evaluate_every={every}"), tmp_path / str(every))
    often, once = final_weights(tmp_path / "1"), final_weights(tmp_path / "1000")
    assert all(torch.equal(often[name], once[name]) for name in often)


def test_accumulating_equals_a_larger_batch(config: Config, tmp_path: Path) -> None:
    """Two sentences four times and eight at once: the same sentences, in another order inside."""
    common = ["model.dropout=0", "model.embedding_dropout=0", "training.max_updates=1"]
    small = ["training.batch_sentences=2", "training.accumulate=4"]
    run_training(config(*common, *small), tmp_path / "small")
    run_training(config(*common, "training.batch_sentences=8"), tmp_path / "large")
    one, two = final_weights(tmp_path / "small"), final_weights(tmp_path / "large")
    for name in one:
        if "exp_avg." in name:  # a tenth of the first gradient: Adam's step would hide its size
            torch.testing.assert_close(one[name], two[name], rtol=1e-4, atol=1e-7)


def test_the_average_is_what_is_kept_and_the_weights_go_on(config: Config, tmp_path: Path) -> None:
    run_training(config("training.average_decay=0.5"), tmp_path / "average")
    run_training(config(), tmp_path / "plain")
    averaged, plain = final_weights(tmp_path / "average"), final_weights(tmp_path / "plain")
    for name in plain:
        assert torch.equal(plain[name], averaged[name]), name
    bundle = load_bundle(tmp_path / "average")
    if bundle.record["update"] == UPDATES:
        for name, parameter in load_network(bundle).named_parameters():
            assert torch.equal(parameter, averaged[f"average.{name}"])


# --- data ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "\n", "\ufeff"])
def test_an_empty_training_file(config: Config, tmp_path: Path, content: str) -> None:
    path = tmp_path / "empty.tsv"
    path.write_text(content)
    with pytest.raises(DataError, match=re.escape(str(path))):
        run_training(config(f"data.train={path}"), tmp_path / "run")


def test_no_training_pairs_is_said_in_these_words(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "empty.tsv"
    path.write_text("")
    with pytest.raises(DataError, match=r"empty\.tsv: no training pairs: the file is empty; give"):
        run_training(config(f"data.train={path}"), tmp_path / "run")


def test_an_empty_held_out_file(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "valid.tsv"
    path.write_text("")
    with pytest.raises(DataError, match=r"valid\.tsv: no held-out pairs: the file is empty"):
        run_training(config(f"data.valid={path}"), tmp_path / "run")


@pytest.mark.parametrize("copies", [5, 200])
def test_all_one_sentence(config: Config, tmp_path: Path, copies: int) -> None:
    path = tmp_path / "one.tsv"
    path.write_text("Go.\tVa !\n" * copies)
    with pytest.raises(DataError, match=rf"one in ten .* these {copies} pairs have fewer than ten"):
        run_training(config(f"data.train={path}"), tmp_path / "run")


def test_all_one_sentence_trains_with_held_out_pairs(config: Config, tmp_path: Path) -> None:
    (tmp_path / "one.tsv").write_text("Go.\tVa !\n" * 50)
    (tmp_path / "valid.tsv").write_text("Stop.\tArrête !\n")
    settings = config(f"data.train={tmp_path / 'one.tsv'}", f"data.valid={tmp_path / 'valid.tsv'}")
    result, said = run_training(settings, tmp_path / "run")
    assert result.progress.update == UPDATES
    assert "warning: every target is the same text" in said
    assert "held-out sources are in" not in said


def test_few_sources_many_times_leave_training_data(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "few.tsv"
    path.write_text("".join(f"word {i % 20}\tmot {i}\n" for i in range(400)))
    run_training(
        config(f"data.train={path}", "data.valid_pairs=20", "training.max_updates=1"),
        tmp_path / "run",
    )
    bundle = json.loads((tmp_path / "run" / "log.jsonl").read_text().split("\n")[0])
    assert bundle["update"] == 1


def test_held_out_sources_are_not_trained_on(config: Config, data: Path, tmp_path: Path) -> None:
    """With all their translations, whatever their case and spacing."""
    from penstock.data.source_keys import fold
    from penstock.training.examples import open_data

    path = tmp_path / "d.tsv"
    lines = data.read_text().split("\n")[:-1]
    path.write_text("\n".join([*lines, *(line.upper() for line in lines)]) + "\n")
    training, valid = open_data(config(f"data.train={path}"), lambda text: None)
    trained = {fold(pair.source) for pair in training()}
    assert len(valid) == 8  # four sources, each in two spellings
    assert not trained & {fold(pair.source) for pair in valid}
    assert len(trained) + 4 == len({fold(line.split("\t")[0]) for line in lines})


def test_the_hold_out_depends_on_the_seed_not_on_the_order(
    config: Config, data: Path, tmp_path: Path
) -> None:
    from penstock.training.examples import open_data

    path = tmp_path / "d.tsv"
    path.write_text("\n".join(reversed(data.read_text().split("\n")[:-1])) + "\n")

    def held_out(*overrides: str) -> set[str]:
        return {pair.source for pair in open_data(config(*overrides), lambda text: None)[1]}

    assert held_out() == held_out(f"data.train={path}")
    assert held_out() != held_out("seed=2")


def test_leakage_is_told(config: Config, data: Path, tmp_path: Path) -> None:
    valid = tmp_path / "valid.tsv"
    lines = data.read_text().split("\n")
    valid.write_text("\n".join([lines[0].upper(), lines[1], "New.\tNeuf."]) + "\n")
    settings = config(f"data.valid={valid}", "training.max_updates=1")
    _, said = run_training(settings, tmp_path / "run")
    assert "warning: 2 of 3 held-out sources are in the training data" in said


def test_the_builtin_corpus_takes_no_held_out_file(config: Config, tmp_path: Path) -> None:
    with pytest.raises(PenstockError, match="the built-in corpus brings its own held-out pairs"):
        run_training(config("data.train=builtin", "data.valid=x.tsv"), tmp_path)


def test_truncation_and_unknowns_are_counted(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "d.tsv"
    rare = "".join(f"abc {i}\tabc {chr(0x4E00 + i)}\n" for i in range(30))
    path.write_text(rare + "abc " * 30 + "\tabc\n")
    settings = config(
        f"data.train={path}",
        "data.max_source_tokens=20",
        "text.target.min_frequency=2",
        "training.max_updates=1",
        "seed=3",
    )
    _, said = run_training(settings, tmp_path / "run")
    assert re.search(r"1 of \d+ training sources are longer than 20 tokens and were cut", said)
    assert re.search(r"\d+ of \d+ training target tokens \(\d+\.\d%\) are unknown", said)
    _, said = run_training(settings, tmp_path / "run", resume=True)
    assert "were cut" in said  # also from the cache


def test_cut_held_out_pairs_are_told(config: Config, data: Path, tmp_path: Path) -> None:
    valid = tmp_path / "valid.tsv"
    valid.write_text("abc " * 30 + "\tabc\nabc\tabc\n")
    settings = config(
        f"data.train={data}", f"data.valid={valid}", "data.max_source_tokens=20",
        "training.max_updates=1",
    )  # fmt: skip
    _, said = run_training(settings, tmp_path / "run")
    assert "1 of 2 held-out sources are longer than 20 tokens and are cut for the held-out" in said
    assert "held-out targets" not in said


def test_standard_input_is_kept_for_reading_again(
    config: Config, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys
    from types import SimpleNamespace

    for name, source in (("stdin", "-"), ("file", str(data))):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data.read_bytes())))
            run_training(config(f"data.train={source}"), tmp_path / name)
    assert_same_run(tmp_path / "stdin", tmp_path / "file")
    kept = load_config(tmp_path / "stdin" / "config.toml")
    run_training(kept, tmp_path / "stdin", resume=True)


def test_tokens_are_cached_by_content(config: Config, tmp_path: Path) -> None:
    cache = tmp_path / "run" / "data"
    run_training(config("training.max_updates=1"), tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    run_training(config("training.max_updates=2"), tmp_path / "run", resume=True)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before


def test_a_saved_tokenizer_is_taken_instead_of_training_one(
    config: Config, tiny_run: Path, tmp_path: Path
) -> None:
    saved, path = load_bundle(tiny_run).target_tokenizer, tmp_path / "target.json"
    saved.save(path)

    def trained(*overrides: str) -> Path:
        run = tmp_path / str(len(list(tmp_path.iterdir())))
        run_training(config("training.max_updates=1", f"text.target.file={path}", *overrides), run)
        return run

    run = trained("text.target.kind=bpe")
    assert load_bundle(run).target_tokenizer.to_json() == saved.to_json()
    assert load_config(run / "config.toml").text.target.file == str(path)
    run = trained("text.shared=true", "text.source.kind=bpe", f"text.source.file={path}")
    assert load_bundle(run).source_tokenizer.to_json() == saved.to_json()
    with pytest.raises(ConfigError, match=r"text\.target\.file: .* has kind 'bpe', and text\.tar"):
        trained("text.target.kind=char")
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError, match=r"target\.json"):
        trained("text.target.kind=bpe")


# --- damage -------------------------------------------------------------------------------------


def flip(path: Path, at: int) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.fixture(scope="module")
def halfway(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run stopped after its first model; not to be changed."""
    run = tmp_path_factory.mktemp("damage") / "run"
    run_training(config("training.max_updates=5"), run)
    return run


@pytest.fixture(scope="module")
def resumed(config: Config, halfway: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That run, resumed undamaged."""
    run = tmp_path_factory.mktemp("undamaged") / "run"
    shutil.copytree(halfway, run)
    run_training(config(), run, resume=True)
    return run


@pytest.mark.parametrize("pattern", ["tokens-*.arrow", "tokenizer-*.json", "tokens-*.seal"])
@pytest.mark.parametrize("share", [0.4, 0.9])
def test_a_damaged_cache_is_told_and_made_again(
    config: Config, halfway: Path, resumed: Path, tmp_path: Path, pattern: str, share: float
) -> None:
    run = tmp_path / "run"
    shutil.copytree(halfway, run)
    for damaged in (run / "data").glob(pattern):
        flip(damaged, int(share * damaged.stat().st_size))
    _, told = run_training(config(), run, resume=True)
    assert "damaged since it was written; it is made again" in told
    assert_same_run(run, resumed)


def test_damage_to_what_cannot_be_made_again_is_rejected(
    config: Config, halfway: Path, tmp_path: Path
) -> None:
    for name, old, new, says in (
        (
            "checkpoints/checkpoint.json",
            b'"update": 5',
            b'"update": 4',
            "json: altered; delete the",
        ),
        ("model/bundle.json", b'"penstock"', b'"penst0ck"', "json: altered since it was written"),
    ):
        run = tmp_path / name.replace("/", "-")
        shutil.copytree(halfway, run)
        content = (run / name).read_bytes()
        assert old in content
        (run / name).write_bytes(content.replace(old, new))
        for updates in (5, 12):  # finished, and with more to do
            with pytest.raises(BundleError, match=re.escape(says)):
                run_training(config(f"training.max_updates={updates}"), run, resume=True)


def test_edited_settings_and_damaged_lines_of_the_log_are_told(
    config: Config, halfway: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(halfway, run)
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(text.replace("max_updates = 5", "max_updates = 6"))
    lines = (run / "log.jsonl").read_text()
    (run / "log.jsonl").write_text(lines.replace('"epoch": 0', '"epoch": 7', 1))
    _, told = run_training(load_config(run / "config.toml"), run, resume=True)
    assert f"{run / 'config.toml'}: edited since the run wrote it; it counts as it" in told
    assert f"{run / 'log.jsonl'}: 1 damaged lines are left out" in told
    _, told = run_training(load_config(run / "config.toml"), run, resume=True)
    assert "edited" not in told
    assert "damaged" not in told


# --- schedules and precision --------------------------------------------------------------------


def rates(schedule: str, updates: list[int], **options: Any) -> list[float]:
    config = TrainingConfig.model_validate(
        {
            "schedule": schedule,
            "learning_rate": 1.0,
            "warmup_updates": 10,
            "max_updates": 110,
            **options,
        }
    )
    return [learning_rate(config, update) for update in updates]


def test_every_schedule_warms_up_in_a_line_and_never_stands_still() -> None:
    for schedule in ("constant", "cosine", "inverse-sqrt", "plateau"):
        assert rates(schedule, [0, 4, 9]) == pytest.approx([0.1, 0.5, 1.0])
        assert rates(schedule, [10]) == pytest.approx([1.0])
        assert all(rate > 0 for rate in rates(schedule, list(range(500))))
        assert rates(schedule, [0], warmup_updates=0) == pytest.approx([1.0])


def test_cosine_falls_to_a_hundredth() -> None:
    values = rates("cosine", list(range(10, 200)))
    assert values == sorted(values, reverse=True)
    assert values[50] == pytest.approx(0.505)
    assert values[100] == pytest.approx(0.01)
    assert values[-1] == pytest.approx(0.01)
    assert rates("cosine", [5], warmup_updates=10, max_updates=3) == pytest.approx([0.6])


def test_inverse_square_root() -> None:
    assert rates("inverse-sqrt", [40, 90, 1000]) == pytest.approx([1 / 2, 1 / 3, 1 / 10])


def test_plateau_and_constant() -> None:
    assert rates("constant", [50, 10_000]) == [1.0, 1.0]
    config = TrainingConfig.model_validate(
        {"schedule": "plateau", "learning_rate": 1.0, "warmup_updates": 0}
    )
    assert learning_rate(config, 7, 0.25) == 0.25


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(UsageError, match=r"device 'warp:9': not available here .*; try 'cpu'"):
        choose_device("warp:9")


# --- what the user sees -------------------------------------------------------------------------


def test_evaluations_are_told_with_three_translations(config: Config, tmp_path: Path) -> None:
    _, said = run_training(config(), tmp_path)
    lines = said.split("\n")
    starts = [i for i, line in enumerate(lines) if line.startswith("update ")]
    assert len(starts) == 3
    for i in starts:
        assert re.match(r"update \d+  \d\.\d min  train loss \d\.\d{3}  held-out loss", lines[i])
        shown = lines[i + 1 : i + 10]
        assert [line[:6] for line in shown[1::3]] == ["    = "] * 3
        assert [line[:6] for line in shown[2::3]] == ["    > "] * 3


def test_markup_in_the_data_is_shown_as_it_stands(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "d.tsv"
    path.write_text("".join(f"[red]{i}[/red]\t[/bold]{i} \\[x]\n" for i in range(40)))
    _, said = run_training(config(f"data.train={path}", "training.max_updates=1"), tmp_path / "run")
    assert re.search(r"\[red\]\d+\[/red\]", said)
    assert re.search(r"= \[/bold\]\d+ \\\[x\]", said)


def test_tensorboard_may_be_absent(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    run_training(config("training.max_updates=1"), tmp_path)
    assert not (tmp_path / "tensorboard").exists()
    assert evaluations(tmp_path)


def test_events_reach_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Board:
        scalars: list[tuple[str, float, int]] = []  # noqa: RUF012
        closed = False

        def add_scalar(self, *scalar: Any) -> None:
            self.scalars.append(scalar)

        def close(self) -> None:
            self.closed = True

    board = Board()
    monkeypatch.setattr(progress, "_tensorboard", lambda run: board)
    log = progress.RunLog(tmp_path)
    log.write("evaluation", 3, loss=1.5, note="text")
    log.close()
    assert board.scalars == [("evaluation/loss", 1.5, 3)]
    assert board.closed


def test_a_model_larger_than_the_machine_is_told_before_it_is_made(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = quiet_console()
    says = r"\[model\]: [\d,]+ parameters need [\d,.]+ GB of memory"
    with pytest.raises(ConfigError, match=says):
        train(config("model.hidden_size=65536"), tmp_path / "wide", console=console)
    many = config("model.hidden_size=16384", "model.encoder_layers=100", "training.optimizer=sgd")
    with pytest.raises(ConfigError, match=r"\(weights, gradients\).* lower model.hidden_size"):
        train(many, tmp_path / "deep", console=console)
    assert not (tmp_path / "wide" / "config.toml").exists()
    # the vocabulary is known only once the data have been read
    available = iter((10**9, 1000))
    name = "penstock.training.initial_network.machine_memory"
    monkeypatch.setattr(name, lambda _: next(available))
    with pytest.raises(ConfigError, match=r"cpu has 0\.0 GB"):
        train(config(), tmp_path / "words", console=console)
    assert (tmp_path / "words" / "data").is_dir()


def test_a_batch_larger_than_the_machine_is_told_and_the_estimate_is_near(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = config("model.hidden_size=64", "training.batch_tokens=100000", "model.cell=lstm")
    cpu = torch.device("cpu")
    learner = TASKS["translation"].learning().learner(chosen, tmp_path, cpu, lambda _: None)
    batch = next(learner.batches(0))
    weights = {p.untyped_storage().data_ptr() for p in learner.network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        _loss = learner.loss(batch, label_smoothing=0.1)
    measured = sum(size for place, size in kept.items() if place not in weights)
    estimate = activation_bytes(learner.network, batch.tgt_in.numel(), 0)
    assert 0.7 < estimate / measured < 1.6

    name = "penstock.training.initial_network.machine_memory"
    monkeypatch.setattr(name, lambda _: 3_000_000)
    says = (
        r"\[training\]: .* a batch of [\d,]+ tokens 0\.\d GB more.*; lower training\.batch_tokens"
    )
    with pytest.raises(ConfigError, match=says):
        train(chosen, tmp_path / "run", console=quiet_console())


def test_two_processes_do_not_train_in_one_directory(tmp_path: Path) -> None:
    with (
        lock_run(tmp_path),
        pytest.raises(UsageError, match="another process is training in it; choose another --out"),
    ):
        train(parse_config({}), tmp_path)
