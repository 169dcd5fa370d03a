"""The runs of a sweep: one for each combination of settings and each seed, trained in processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from penstock.bundle.bundle_files import INDEX, read_index
from penstock.config import RunConfig, dump_toml
from penstock.config.json_types import is_object
from penstock.data.formats.input_lines import STDIN
from penstock.errors import ConfigError, DataError, PenstockError, UsageError
from penstock.files import atomic_write
from penstock.training.progress import LOG, read_log
from penstock.training.sweep_results import SweepRow, SweepRun
from penstock.training.sweep_settings import run_name

RECORD = "sweep.json"
_POLL_SECONDS = 0.1

Report = Callable[[str], None]
MakeConfig = Callable[[Mapping[str, Any]], RunConfig]


@dataclass(frozen=True)
class Planned:
    """A run that is to be made, with its configuration or why it cannot have one."""

    settings: Mapping[str, Any]
    run: SweepRun
    config: RunConfig | None


class Runs:
    """The runs under one folder, each trained by a process of its own.

    Args:
        out: the folder.
        make: the configuration of values by dotted key.
        jobs: processes at a time.
        report: called with a line per run.

    Raises:
        UsageError: the folder holds other runs.
    """

    def __init__(self, out: Path, make: MakeConfig, *, jobs: int, report: Report) -> None:
        self.out, self.jobs, self.report = out, jobs, report
        self.make = make
        self._record = _read_record(out)

    def plan(self, settings: Mapping[str, Any], varied: Iterable[str], seed: int) -> Planned:
        """The run of a combination and a seed.

        Raises:
            UsageError: it was begun with other settings.
        """
        shown = {key: settings[key] for key in varied}
        name = run_name(shown, seed)
        run = SweepRun(self.out / name, seed, {})
        try:
            config = self.make({**settings, "seed": seed})
        except ConfigError as error:
            return Planned(shown, replace(run, failure=str(error)), None)
        if STDIN in (config.data.train, config.data.valid):
            raise UsageError("a sweep reads its data many times; save standard input to a file")
        if config.data.cache is None:
            data = config.data.model_copy(update={"cache": str(self.out / "data")})
            config = config.model_copy(update={"data": data})
        self._require_same(name, config)
        return Planned(shown, run, config)

    def train(self, planned: Iterable[Planned]) -> list[SweepRun]:
        """Train what is not trained yet, and say how each run ended, in order.

        Raises:
            KeyboardInterrupt: interrupted; running trainings have written checkpoints.
        """
        plans = list(planned)
        self._write_record(plans)
        waiting = [plan for plan in plans if plan.config and not _has_ended(plan.run.path)]
        total, left = len(plans), len(waiting)
        if total > left:
            self.report(f"{total - left:,} of {total:,} runs are finished or impossible")
        running: list[tuple[subprocess.Popen[bytes], Planned]] = []
        failures: dict[Path, str] = {}
        told = False
        with _interrupts() as stopped:
            while (waiting and not stopped.is_set()) or running:
                while waiting and len(running) < self.jobs and not stopped.is_set():
                    plan = waiting.pop(0)
                    running.append((self._begin(plan), plan))
                time.sleep(_POLL_SECONDS)
                for process, plan in [each for each in running if each[0].poll() is not None]:
                    running.remove((process, plan))
                    failure = _failure(process.returncode, plan.run.path)
                    if failure:
                        failures[plan.run.path] = failure
                    left -= 1
                    shown = _finished(plan.run, failure)
                    self.report(f"{total - left:,}/{total:,} {plan.run.path.name}: {_line(shown)}")
                if stopped.is_set() and not told:
                    told = True
                    for process, _ in running:
                        process.terminate()  # it writes a checkpoint first
        if stopped.is_set():
            raise KeyboardInterrupt
        return [
            plan.run
            if plan.config is None
            else _finished(plan.run, failures.get(plan.run.path, ""))
            for plan in plans
        ]

    def _begin(self, plan: Planned) -> subprocess.Popen[bytes]:
        assert plan.config is not None
        run = plan.run.path
        settings = self.out / "settings" / f"{run.name}.toml"
        atomic_write(settings, dump_toml(plan.config, set_only=True))
        command = [sys.executable, "-m", "penstock", "train", str(settings), "--out", str(run)]
        if (run / LOG).exists():
            command.append("--resume")
        threads = str(max((os.cpu_count() or 1) // self.jobs, 1))
        environment = os.environ | ({"OMP_NUM_THREADS": threads} if self.jobs > 1 else {})
        messages = self.out / "messages" / f"{run.name}.txt"
        messages.parent.mkdir(parents=True, exist_ok=True)
        with messages.open("wb") as file:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=file,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches this process, which tells them
            )

    def _require_same(self, name: str, config: RunConfig) -> None:
        before = self._record.get(name)
        if before is None:
            return
        now = json.loads(json.dumps(config.model_dump(exclude_unset=True)))
        for place, was, found in _differences("", before, now):
            raise UsageError(
                f"{self.out / name}: was begun with {place} = {was!r}, not {found!r}; go on with "
                "the same command, or choose another --out"
            )

    def _write_record(self, plans: list[Planned]) -> None:
        for plan in plans:
            if plan.config is not None:
                self._record[plan.run.path.name] = plan.config.model_dump(exclude_unset=True)
        text = json.dumps({"runs": self._record}, indent=1, ensure_ascii=False)
        atomic_write(self.out / RECORD, text + "\n")


def table(
    runs: Runs,
    base: RunConfig,
    combinations: list[dict[str, Any]],
    varied: Iterable[str],
    seeds: int,
) -> list[SweepRow]:
    """Train combinations and give a row of each, in order; seeds begin with that of `base`."""
    chosen = range(base.seed, base.seed + seeds)
    plans = [runs.plan(values, varied, seed) for values in combinations for seed in chosen]
    ended = runs.train(plans)
    metric = next(map(_metric, filter(_succeeded, ended)), base.training.metric)
    return [
        SweepRow(plans[i].settings, ended[i : i + seeds], metric)
        for i in range(0, len(plans), seeds)
    ]


def first_possible(make: MakeConfig, combinations: Iterable[Mapping[str, Any]]) -> RunConfig:
    """The configuration of the first combination that can have one.

    Raises:
        ConfigError: none can; this is what is wrong with the first.
    """
    first: ConfigError | None = None
    for values in combinations:
        try:
            return make(values)
        except ConfigError as error:
            first = first or error
    assert first is not None
    raise first


def _read_record(out: Path) -> dict[str, Any]:
    path = out / RECORD
    if not path.is_file():
        if (out / LOG).exists() or (out / INDEX).exists():
            raise UsageError(f"{out}: holds a run, not a sweep; choose another --out")
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return dict(record["runs"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"damaged ({error!r}); choose another --out"
        raise DataError(what, path=path) from None


def _differences(place: str, before: Any, now: Any) -> Generator[tuple[str, Any, Any]]:
    if is_object(before) and is_object(now):
        for key in {**before, **now}:
            where = f"{place}.{key}" if place else key
            yield from _differences(where, before.get(key), now.get(key))
    elif before != now:
        yield place, before, now


def _has_ended(run: Path) -> bool:
    """Whether a run has trained to its end; one that was interrupted has not."""
    last = read_log(run)[-1:]
    return any(event["event"] == "stop" and event["reason"] != "interrupted" for event in last)


def _finished(run: SweepRun, failure: str) -> SweepRun:
    """A run with its scores, as its directory has them."""
    if failure:
        return replace(run, failure=failure)
    try:
        scores = read_index(run.path / "model")["record"]["held_out"]
    except (PenstockError, KeyError) as error:
        return replace(run, failure=f"no model: {error}")
    seconds = read_log(run.path)[-1].get("seconds", 0.0)
    return replace(run, scores=scores, minutes=seconds / 60)


def _failure(status: int, run: Path) -> str:
    """Why a training failed: the last line of its messages; empty if it did not."""
    if status == 0:
        return ""
    messages = run.parent / "messages" / f"{run.name}.txt"
    lines = messages.read_text(encoding="utf-8", errors="replace").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return said.removeprefix("penstock: ") or f"exit status {status}"


def _succeeded(run: SweepRun) -> bool:
    return not run.failure


def _metric(run: SweepRun) -> str:
    """What selected its model: a key that may be chosen from the data."""
    return str(read_index(run.path / "model")["config"]["training"]["metric"])


def _line(run: SweepRun) -> str:
    if run.failure:
        return f"failed: {run.failure}"
    shown = [f"{name} {value:.3g}" for name, value in run.scores.items() if type(value) is float]
    return f"{', '.join(shown[:4])} after {run.minutes:.1f} min"


@contextmanager
def _interrupts() -> Generator[threading.Event]:
    """An event set by Ctrl-C and SIGTERM, where this is the main thread."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    numbers = (signal.SIGINT, signal.SIGTERM)

    def handle(number: int, frame: FrameType | None) -> None:
        event.set()

    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
