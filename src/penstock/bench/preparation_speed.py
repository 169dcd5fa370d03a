"""How much faster several processes prepare a corpus than one."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from penstock.config import RunConfig
from penstock.data.grammar import stream_pairs
from penstock.training.corpus import prepare_corpus


@dataclass(frozen=True)
class Preparation:
    """Reading, checking and tokenizing a corpus.

    Attributes:
        processes: how many did it.
        seconds: by the clock.
        processor_seconds: of this process and of all others together.
        own_seconds: of this process, which the others wait for.
    """

    processes: int
    seconds: float
    processor_seconds: float
    own_seconds: float


def measure_preparation(
    pairs: int,
    processes: Sequence[int],
    *,
    files: int,
    folder: Path | None,
    say: Callable[[str], None],
) -> list[Preparation]:
    """Prepare generated pairs with each number of processes, from nothing each time."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        say(f"writing {pairs:,} pairs …")
        stream = stream_pairs(seed=1)
        for number in range(files):
            with Path(name, f"{number:03}.tsv").open("w", encoding="utf-8", newline="\n") as file:
                size = pairs // files + (number < pairs % files)
                file.writelines(f"{p.source}\t{p.target}\n" for p in islice(stream, size))
        results: list[Preparation] = []
        for count in processes:
            say(f"preparing with {count} …")
            config = RunConfig(
                data={"train": f"{name}/*.tsv", "workers": count},
                text={"source": {"vocab_size": 1200}, "target": {"vocab_size": 1200}},
            )
            begun, own, others = time.perf_counter(), time.process_time(), _children()
            prepare_corpus(config, Path(name, f"prepared-{len(results)}"), lambda _: None)
            own = time.process_time() - own
            everything = own + (_children() - others)
            results.append(Preparation(count, time.perf_counter() - begun, everything, own))
        return results


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
