"""Peak memory of tokenization and training, by corpus size."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from penstock.data.grammar import stream_pairs
from penstock.errors import PenstockError

_SETTINGS = (
    "text.source.vocab_size=1200",
    "text.target.vocab_size=1200",
    "model.embedding_size=32",
    "model.hidden_size=64",
    "model.decoder_layers=1",
    "training.evaluate_sentences=100",
)


@dataclass(frozen=True)
class MemoryUse:
    """Peak resident memory of `penstock train` on generated pairs, and the disk that its run takes.

    The memory is that of the largest process.
    """

    pairs: int
    peak_megabytes: float
    seconds: float
    disk_megabytes: float


def measure_memory(
    sizes: list[int], *, updates: int, folder: Path | None = None, say: Callable[[str], None]
) -> list[MemoryUse]:
    """Generate a corpus of each size, and train on it in a process of its own.

    Args:
        sizes: numbers of pairs.
        updates: number of training updates.
        folder: where to put the generated files (about 110 bytes per pair); default: temporary.
        say: called with progress messages.

    Raises:
        PenstockError: a training failed.
    """
    results = []
    for pairs in sizes:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            data, valid = Path(name, "train.tsv"), Path(name, "valid.tsv")
            say(f"writing {pairs:,} pairs …")
            _write(data, pairs, seed=1)
            _write(valid, 200, seed=2)
            say(f"training on {pairs:,} pairs …")
            results.append(_train(pairs, data, valid, Path(name, "run"), updates))
    return results


def extrapolate(results: list[MemoryUse], pairs: int = 100_000_000) -> tuple[float, float]:
    """Megabytes of memory and of disk for more pairs, by the largest two of several sizes."""
    *_, below, above = sorted([results[0], *results], key=lambda use: use.pairs)
    further = (pairs - above.pairs) / max(above.pairs - below.pairs, 1)
    memory = above.peak_megabytes + further * max(above.peak_megabytes - below.peak_megabytes, 0)
    return memory, above.disk_megabytes * pairs / max(above.pairs, 1)


def _write(path: Path, pairs: int, *, seed: int) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for pair in islice(stream_pairs(seed=seed), pairs):
            file.write(f"{pair.source}\t{pair.target}\n")


def _train(pairs: int, data: Path, valid: Path, run: Path, updates: int) -> MemoryUse:
    import time

    settings = [*_SETTINGS, f"training.max_updates={updates}"]
    command = [sys.executable, "-m", "penstock", "train", str(data)]
    command += ["--valid", str(valid), "--out", str(run)]
    command += [part for setting in settings for part in ("--set", setting)]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    complaint = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)  # this process's own peak, not all children's
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        raise PenstockError(f"training on {pairs:,} pairs failed:\n{complaint}")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    disk = sum(file.stat().st_size for file in run.rglob("*") if file.is_file())
    return MemoryUse(pairs, kilobytes / 1024, time.perf_counter() - start, disk / 1e6)
