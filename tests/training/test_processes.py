"""Several processes train as one does, and end together."""

from __future__ import annotations

import io
import multiprocessing
import os
import re
import signal
import socket
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import quiet_console
from penstock.config import RunConfig, parse_config
from penstock.data.grammar import generate_pairs
from penstock.errors import PeerError, PenstockError
from penstock.training import peers
from penstock.training.loop import TrainingResult, train
from penstock.training.process_group import joined_processes
from penstock.training.processes import Processes, Share
from penstock.training.progress import read_log
from penstock.training.update import Update
from penstock.training.windows import WindowSampler

Work = Callable[[Processes], Any]


def in_processes(count: int, *works: Work, seconds: float = 60) -> list[Any]:
    """What each of `count` processes returns of its work, or its error; None if it was killed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")  # the imports are made
    results = [fork.Pipe(duplex=False) for _ in range(count)]

    def act(rank: int) -> None:
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count), "MASTER_PORT": str(port)}
        try:
            with joined_processes() as processes:
                result = works[rank % len(works)](processes)
        except PenstockError as error:
            result = error
        results[rank][1].send(result)

    workers = [fork.Process(target=act, args=(rank,)) for rank in range(count)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        for worker in workers:
            worker.start()
    for worker in workers:
        worker.join(seconds)
        assert worker.exitcode is not None, "hangs"
    return [mine.recv() if mine.poll() else None for mine, _ in results]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "pairs.tsv"
    short = [p for p in generate_pairs(900) if len(p.source + p.target) < 60][:90]
    path.write_text("".join(f"{p.source}\t{p.target}\n" for p in short))
    return path


def configured(data: Path, *overrides: str) -> RunConfig:
    """A run of a second; the odd number of batches leaves one process without a last one."""
    sides = {"source": {"kind": "char"}, "target": {"kind": "char"}}
    model = {
        "cell": "gru", "embedding_size": 8, "hidden_size": 8, "decoder_layers": 1, "dropout": 0.0,
        "embedding_dropout": 0.0, "tie_embeddings": "none",
    }  # fmt: skip
    training = {
        "max_updates": 9, "batch_tokens": 400, "warmup_updates": 3, "learning_rate": 0.01,
        "evaluate_every": 1, "evaluate_sentences": 4, "metric": "loss", "precision": "fp32",
        "patience": None, "checkpoint_minutes": 1e-9, "evaluate_growth": 0,
    }  # fmt: skip
    raw = {
        "threads": 1, "device": "cpu", "data": {"train": str(data), "valid_pairs": 4},
        "text": sides, "model": model, "training": training,
        "search": {"max_length_ratio": 0.1, "max_length_extra": 3},
    }  # fmt: skip
    return parse_config(raw, overrides)


def trained(config: RunConfig, run: Path, act: Callable[[int, int], None] | None = None) -> Work:
    """Train; `act` is called with the number of every update and the rank, before the step."""

    def work(processes: Processes) -> tuple[TrainingResult, str]:
        step = Update.step
        numbers = iter(range(1, 1000))

        def acting(self: Update, *arguments: Any) -> Any:
            if act is not None:
                act(next(numbers), processes.rank)
            return step(self, *arguments)

        console = quiet_console()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Update, "step", acting)
            resume = (run / "config.toml").exists()
            result = train(config, run, resume=resume, console=console, processes=processes)
        assert isinstance(console.file, io.StringIO)
        return result, console.file.getvalue()

    return work


def scores(run: Path) -> list[dict[str, Any]]:
    return [event for event in read_log(run) if event["event"] == "evaluation"]


def checkpoint(run: Path) -> dict[str, bytes]:
    from safetensors.numpy import load_file

    (path,) = (run / "checkpoints").glob("*.safetensors")
    return {name: array.tobytes() for name, array in load_file(path).items()}


def test_two_processes_train_as_one_that_accumulates(tmp_path: Path, data: Path) -> None:
    # Adam would magnify the rounding of gradients near zero
    sgd = ("training.optimizer=sgd", "training.learning_rate=0.2", "training.clip_norm=1000")
    accumulating = configured(data, "training.accumulate=2", *sgd)
    one = train(accumulating, tmp_path / "one", console=quiet_console())
    (two, said), (_, silent) = in_processes(2, trained(configured(data, *sgd), tmp_path / "two"))
    assert "2 processes" in said
    assert "update 9" in said
    assert not silent
    assert two.progress.tokens == one.progress.tokens
    assert two.progress.epoch == one.progress.epoch > 0
    pairs = list(zip(scores(tmp_path / "one"), scores(tmp_path / "two"), strict=True))
    assert len(pairs) == 9
    for alone, together in pairs:
        assert together["train_loss"] == pytest.approx(alone["train_loss"], rel=1e-6)
        assert together["loss"] == pytest.approx(alone["loss"], rel=1e-6)
        assert together["tokens"] == alone["tokens"]


def kill(update: int, rank: int, number: signal.Signals) -> Callable[[int, int], None]:
    """Send a signal to process `rank` in update `update`."""

    def act(now: int, own: int) -> None:
        if (now, own) == (update, rank):
            os.kill(os.getpid(), number)

    return act


def test_killed_and_resumed_is_uninterrupted(tmp_path: Path, data: Path) -> None:
    config, run = configured(data, "model.dropout=0.3"), tmp_path / "run"
    in_processes(2, trained(config, tmp_path / "whole"))
    for update, rank in ((3, 1), (2, 0)):
        began = time.monotonic()
        ended = in_processes(2, trained(config, run, kill(update, rank, signal.SIGKILL)))
        assert ended[rank] is None
        assert time.monotonic() - began < 30
        assert f"process {rank} of 2" in str(ended[1 - rank])
        assert "has died; what it has saved is whole; go on with --resume" in str(ended[1 - rank])
    # one process is told to stop: both do, in the same update
    stopped = in_processes(2, trained(config, run, kill(1, 1, signal.SIGTERM)))
    assert [result.reason for result, _ in stopped] == ["interrupted"] * 2
    in_processes(2, trained(config, run))
    assert checkpoint(run) == checkpoint(tmp_path / "whole")


def test_another_number_of_processes_goes_on_at_the_same_place(tmp_path: Path, data: Path) -> None:
    config, run = configured(data), tmp_path / "run"
    ((two, _), _) = in_processes(2, trained(config, run, kill(1, 0, signal.SIGINT)))
    assert (two.reason, two.progress.batch) == ("interrupted", 4)
    console = quiet_console()
    one = train(config, run, resume=True, console=console)
    assert isinstance(console.file, io.StringIO)
    assert ", 1 process (2 until now: not the same bit for bit)" in console.file.getvalue()
    assert (one.progress.update, one.progress.epoch) == (9, 1)
    # two updates of two batches and seven of one: the batches of eleven updates
    config = configured(data, "training.max_updates=11")
    other = train(config, tmp_path / "one", console=quiet_console()).progress
    assert (one.progress.batch, one.progress.tokens) == (other.batch, other.tokens)


def test_processes_must_have_the_same_configuration_and_data(tmp_path: Path, data: Path) -> None:
    run = tmp_path / "run"
    other = configured(data, "model.hidden_size=16")
    errors = in_processes(2, trained(configured(data), run), trained(other, run))
    assert str(errors[0]).startswith(
        "model.hidden_size is 8 in the first process and 16 in process 1; start all with the same"
    )
    assert isinstance(errors[1], PeerError)
    assert errors[1].exit_code == errors[0].exit_code == 2
    less = tmp_path / "less.tsv"
    less.write_text("".join(data.read_text().splitlines(keepends=True)[:-1]))
    errors = in_processes(2, trained(configured(data), run), trained(configured(less), run))
    assert "the fingerprint of the training data is" in str(errors[0])


def test_an_error_of_one_process_is_its_own_to_report(tmp_path: Path, data: Path) -> None:
    works = trained(configured(data), tmp_path), trained(configured(tmp_path / "no"), tmp_path)
    first, second = in_processes(2, *works)
    assert isinstance(first, PeerError)
    assert "no such file" in str(second)
    assert not isinstance(second, PeerError)


def test_a_silent_process_is_missed(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.setattr(peers, "_LOST_SECONDS", 1.5)

    def silent(processes: Processes) -> None:
        assert processes.peers is not None
        processes.peers.close()
        time.sleep(5)
        os.kill(os.getpid(), signal.SIGKILL)

    in_processes(2, lambda processes: processes.wait(), silent)
    assert re.search(r"^penstock: process 1 of 2 \(.*\) has died; ", capfd.readouterr().err, re.M)


@given(
    costs=st.lists(st.integers(1, 1000), max_size=40),
    count=st.integers(1, 4),
    accumulate=st.integers(1, 3),
)
def test_a_batch_is_seen_by_one_process(costs: list[int], count: int, accumulate: int) -> None:
    batches = list(enumerate(costs))
    shares = [
        list(Share(rank, count, accumulate).select(batches, lambda batch: batch[1]))
        for rank in range(count)
    ]
    assert Counter(batch for share in shares for batch in share) == Counter(batches)
    together = count * accumulate
    for update in range(len(batches) // together):
        of_update = {*batches[update * together : (update + 1) * together]}
        own = [share[update * accumulate : (update + 1) * accumulate] for share in shares]
        assert {batch for part in own for batch in part} == of_update


def test_shares_cost_about_the_same() -> None:
    costs = [100, 40, 60, 10, 100, 90]
    own = [list(Share(rank, 2, 3).select(costs, int)) for rank in (0, 1)]
    assert sorted(sum(share) for share in own) == [200, 200]


@pytest.mark.parametrize("sampling", ["sequential", "random"])
def test_processes_divide_the_rows_of_a_text(sampling: Any) -> None:
    ids = np.arange(100)
    make = {"window": 6, "sampling": sampling, "seed": 3}
    whole = list(WindowSampler(ids, rows=4, **make).epoch(1))
    sampler = WindowSampler(ids, rows=2, **make)
    shares = [list(sampler.epoch(1, share=Share(rank, 2))) for rank in (0, 1)]
    if sampling == "sequential":  # the same rows side by side: each process carries its states
        for window, *parts in zip(whole, *shares, strict=True):
            rows = [row for part in parts for row in part.inputs.tolist()]
            assert window.inputs.tolist() == rows
        left = list(sampler.epoch(1, skip=4, share=Share(1, 2)))
        assert [w.inputs.tolist() for w in left] == [w.inputs.tolist() for w in shares[1][2:]]
    else:
        seen = Counter(int(row[0]) for share in shares for w in share for row in w.inputs)
        assert seen == Counter(int(row[0]) for window in whole for row in window.inputs)
        assert set(seen.values()) == {1}


def test_work_is_divided_and_comes_back_in_order() -> None:
    def work(processes: Processes) -> Any:
        shared = processes.map(lambda items: [[i, i / 3] for i in items], range(7))
        return shared, processes.gather(b"x" * processes.rank), processes.broadcast(b"").decode()

    expected = [[i, i / 3] for i in range(7)], [b"", b"x", b"xx"], ""
    assert in_processes(3, work) == [expected] * 3


def test_a_group_that_cannot_form_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("connect() timed out\nException raised from …")

    monkeypatch.setattr("torch.distributed.init_process_group", refuse)
    refused, *_ = in_processes(2, lambda processes: processes.rank)
    assert isinstance(refused, PenstockError)
    message = str(refused)
    assert "process 0 of 2" in message
    assert "cannot connect to the others (connect() timed out); training has not begun" in message
    assert "\n" not in message
