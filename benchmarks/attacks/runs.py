"""Training that is killed, runs out of disk, or finds its files damaged when it goes on.

However it comes about, the model in the end is the one that an undisturbed run makes, or the
command says what is wrong.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from random import Random

from attacks import hostile
from attacks.trial import HANG_SECONDS, Trial
from attacks.worker import Worker
from penstock.data.grammar import generate_pairs

_SETTINGS = (
    "threads=1", "device=cpu", "text.source.kind=word",
    "text.target.kind=bpe", "text.target.vocab_size=300", "model.embedding_size=8",
    "model.hidden_size=8", "training.max_updates=12", "training.evaluate_every=3",
    "training.evaluate_sentences=2", "training.batch_tokens=100", "training.metric=loss",
    "training.precision=fp32", "training.export=none",
)  # fmt: skip
_TRAIN = ["train", "pairs.tsv", *(word for text in _SETTINGS for word in ("--set", text))]
_REPORTED = ("damaged", "edited", "altered", "left out")


def attack(folder: Path, random: Random) -> Generator[Trial]:
    """Damage mostly, a kill or a full disk now and then."""
    rows = (f"{pair.source}\t{pair.target}\n" for pair in generate_pairs(80, seed=1))
    (folder / "pairs.tsv").write_text("".join(rows), encoding="utf-8")
    with Worker(folder) as worker:
        resume = ["--resume", "--set", "training.max_updates=12"]
        half = [*_TRAIN, "--out", "half", "--set", "training.max_updates=6"]
        for words in (half, ["train", "--out", "resumed", *resume], [*_TRAIN, "--out", "whole"]):
            if "resumed" in words:
                shutil.copytree(folder / "half", folder / "resumed")
            ending = worker.run(words, seconds=10 * HANG_SECONDS)  # imports much, the first time
            assert ending.code == 0, ending
        whole, resumed = _weights(folder / "whole"), _weights(folder / "resumed")
        while True:
            run = folder / "run"
            if random.random() < 0.9:
                shutil.copytree(folder / "half", run)
                what = _damage(run, random)
                ending = worker.run(["train", "--out", "run", *resume])
                broke, err = ending.broke, ending.err
                if not broke and ending.code == 0 and not any(word in err for word in _REPORTED):
                    broke = "" if _weights(run) == resumed else "another model without a word"
            elif random.random() < 0.5:
                what = _kill(folder, random)
                ending = worker.run([*_TRAIN, "--out", "run", "--resume"])
                broke = ending.broke or _difference(run, whole)
            else:
                what, broke = _full_disk(folder, random)
                ending = worker.run([*_TRAIN, "--out", "run", "--resume"])
                broke = broke or ending.broke or _difference(run, whole)
            yield Trial(what, broke)
            shutil.rmtree(run, ignore_errors=True)


def _weights(run: Path) -> str:
    return json.loads((run / "model" / "bundle.json").read_text("utf-8"))["files"]["weights"][
        "sha256"
    ]


def _difference(run: Path, whole: str) -> str:
    if not (run / "model" / "bundle.json").is_file():
        return "no model in the end"
    return "" if _weights(run) == whole else "another model without a word"


def _damage(run: Path, random: Random) -> str:
    files = [path for path in sorted(run.rglob("*")) if path.is_file() and "board" not in str(path)]
    path = random.choice(files)
    if random.random() < 0.1:
        path.unlink()
        return f"{path.relative_to(run)} is gone"
    path.write_bytes(hostile.mutated(path.read_bytes(), random))
    return f"{path.relative_to(run)} damaged"


def _process(folder: Path, limit: int | None = None) -> subprocess.Popen[bytes]:
    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [sys.executable, "-m", "penstock", *_TRAIN, "--out", "run", "--resume"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=limited,
    )


def _kill(folder: Path, random: Random) -> str:
    """Train, and kill the process at some moment."""
    process = _process(folder)
    moment = random.uniform(1, 8)
    time.sleep(moment)
    process.send_signal(random.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT)))
    process.communicate()
    return f"killed after {moment:.1f} s"


def _full_disk(folder: Path, random: Random) -> tuple[str, str]:
    """Train where no file may grow beyond a few bytes, as by `ulimit -f`."""
    limit = random.choice((0, 100, 1000, 4000, 10_000, 30_000))
    process = _process(folder, limit)
    try:
        _, err = process.communicate(timeout=30 * HANG_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return f"files of at most {limit} bytes", "hangs"
    broke = "a traceback" if b"Traceback" in err else ""
    return f"files of at most {limit} bytes", broke
