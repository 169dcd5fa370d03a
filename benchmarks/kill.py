"""Training that is killed again and again gives the model that it gives undisturbed, to the byte.

    python benchmarks/kill.py --processes 2 --kills 100

A small run is started, one of its processes is killed at a random instant, and it goes on with
`--resume`, until it ends before it is killed. Now and then the disk is full instead (as by
`ulimit -f`), or the checkpoint is cut in two, which must be noticed, and put back. All processes
must end within 30 seconds after a kill.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from random import Random

from penstock.data.grammar import generate_pairs

SETTINGS = (
    "threads=1", "device=cpu", "text.source.kind=char", "text.target.kind=char",
    "model.embedding_size=8", "model.hidden_size=8", "model.decoder_layers=1",
    "model.dropout=0.2", "training.evaluate_every=20", "training.evaluate_growth=0",
    "training.evaluate_sentences=2", "training.batch_tokens=200", "training.metric=loss",
    "training.precision=fp32", "training.export=none", "training.patience=none",
    "training.checkpoint_minutes=0.001", "search.max_length_extra=2",
    "search.max_length_ratio=0.1",
)  # fmt: skip
END_SECONDS = 30


class Broken(Exception):
    """What must not happen."""


def command(run: Path, processes: int, updates: int) -> list[str]:
    words = [word for text in SETTINGS for word in ("--set", text)]
    words += ["--set", f"training.max_updates={updates}", "--resume", "--out", str(run)]
    many = ["--processes", str(processes)] if processes > 1 else []
    return [sys.executable, "-m", "penstock", "train", str(run.parent / "pairs.tsv"), *words, *many]


def start(words: list[str], file_limit: int | None = None) -> subprocess.Popen[bytes]:
    def limited() -> None:
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    errors = Path(words[words.index("--out") + 1]).parent / "errors"
    with errors.open("wb") as file:
        return subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=file, preexec_fn=limited, process_group=0
        )


def group_of(process: subprocess.Popen[bytes]) -> list[int]:
    """The processes of a run: the command, and those that it has started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [process.pid, *map(int, children.read_text().split())] if children.exists() else []


def wait_for_all(process: subprocess.Popen[bytes], began: float) -> float:
    """Wait until the whole group has ended; returns the seconds since `began`."""
    while time.monotonic() < began + END_SECONDS:
        process.poll()
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return time.monotonic() - began
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    raise Broken(f"processes are left {END_SECONDS} seconds after the kill")


def model_of(run: Path) -> bytes:
    (weights,) = (run / "model").glob("weights-*.safetensors")
    return weights.read_bytes()


def require_clean(errors: str) -> None:
    if "Traceback" in errors:
        raise Broken(f"a traceback:\n{errors}")


def kill_once(run: Path, words: list[str], latest: float, random: Random) -> tuple[str, float]:
    """Train until a random instant, and kill a random process; empty if training was faster."""
    process = start(words)
    began = time.monotonic()
    instant = random.uniform(0, latest)
    while process.poll() is None and time.monotonic() < began + instant:
        time.sleep(0.01)
    pids = group_of(process) if process.poll() is None else []
    if not pids:
        if process.wait() != 0:
            raise Broken(f"training failed:\n{(run.parent / 'errors').read_text()}")
        return "", 0.0
    chosen = random.randrange(len(pids))
    os.kill(pids[chosen], signal.SIGKILL)
    seconds = wait_for_all(process, time.monotonic())
    require_clean((run.parent / "errors").read_text())
    return f"process {chosen} killed", seconds


def fill_disk(run: Path, words: list[str], random: Random) -> str:
    process = start(words, random.choice((0, 1000, 4000, 10_000, 30_000)))
    process.wait()
    wait_for_all(process, time.monotonic())
    require_clean((run.parent / "errors").read_text())
    return "disk full"


def cut_checkpoint(run: Path, words: list[str], _: Random) -> str:
    """Cut the checkpoint in two, have it rejected, and put it back; empty if there is none yet."""
    states = list((run / "checkpoints").glob("state-*.safetensors"))
    if not states:
        return ""
    whole = states[0].read_bytes()
    states[0].write_bytes(whole[: len(whole) // 2])
    code = start(words).wait()
    errors = (run.parent / "errors").read_text()
    if code == 0 or "altered or truncated" not in errors:
        raise Broken(f"a checkpoint cut in two is taken for whole:\n{errors}")
    require_clean(errors)
    states[0].write_bytes(whole)
    return "checkpoint cut in two"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--updates", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    random, events, ends = Random(arguments.seed), Counter[str](), list[float]()
    models = same = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = (f"{pair.source}\t{pair.target}\n" for pair in generate_pairs(80, seed=1))
        (folder / "pairs.tsv").write_text("".join(rows), encoding="utf-8")
        words = partial(command, processes=arguments.processes, updates=arguments.updates)
        began = time.monotonic()
        if start(words(folder / "whole")).wait() != 0:
            sys.exit((folder / "errors").read_text())
        latest, run = time.monotonic() - began, folder / "run"
        expected = model_of(folder / "whole")
        while (done := sum(events.values())) < arguments.kills or run.exists():
            what = ""
            if done < arguments.kills and random.random() < 0.1:
                what = random.choice((fill_disk, cut_checkpoint))(run, words(run), random)
            elif done < arguments.kills:
                what, seconds = kill_once(run, words(run), latest, random)
                ends += [seconds] if what else []
            elif start(words(run)).wait() != 0:
                raise Broken(f"training failed:\n{(folder / 'errors').read_text()}")
            events[what] += bool(what)
            if not what and (run / "log.jsonl").exists() and ended(run):
                models += 1
                same += model_of(run) == expected
                shutil.rmtree(run)
            if sys.stderr.isatty() or not arguments.json:
                print(f"{sum(events.values())}: {what or 'ended'}", file=sys.stderr, flush=True)
    found = {
        "processes": arguments.processes,
        "events": {what: number for what, number in events.items() if what},
        "finished models": models,
        "same to the byte": same,
        "longest end after a kill, seconds": round(max(ends, default=0.0), 1),
    }
    print(json.dumps(found) if arguments.json else "\n".join(f"{k}\t{v}" for k, v in found.items()))
    sys.exit(same != models)


def ended(run: Path) -> bool:
    last = (run / "log.jsonl").read_text("utf-8").strip().split("\n")[-1]
    return json.loads(last)["event"] == "stop"


if __name__ == "__main__":
    main()
