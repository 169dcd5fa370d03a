"""Compare the CPU time of two source trees: decoding, training, the service under load.

    python benchmarks/trees.py OLD NEW -m runs/demo test.en

OLD and NEW are checkouts (`git worktree add OLD COMMIT`) that have what this script imports. Both
run in processes of their own, with the packages of this Python, one thread each, and take turns.
CPU time can be compared on a busy machine, too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import service

_CLIENTS = 64
_SEARCHES = [(s, p, b) for b in (64, 1) for s in ("beam", "greedy") for p in ("fp32", "bf16")]
_DECODING = [f"{search} {precision} {batch}" for search, precision, batch in _SEARCHES]
_TRAINING = ["train fp32", "train bf16"]


def main() -> None:
    """Print a row for each work: medians in ms, and the median of the rounds' ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("trees", nargs=2, type=Path, metavar="TREE")
    parser.add_argument("lines", type=Path)
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=8.0, help="of the service, per round")
    given = parser.parse_args()
    with ExitStack() as stack:
        ask: list[Callable[[str], float]] = []
        for tree in given.trees:
            command = [sys.executable, __file__, "worker", given.model, str(given.lines)]
            environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}
            worker = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
            )
            stack.enter_context(worker)
            ask.append(_asking(worker))
        for work in [*_DECODING, *_TRAINING]:
            _compare(work, [lambda one=one, work=work: one(work) for one in ask], given.rounds)
    for precision in ("fp32", "bf16"):
        with ExitStack() as stack:
            ask_service: list[Callable[[], float]] = []
            for number, tree in enumerate(given.trees):
                os.environ["PYTHONPATH"] = str(tree / "src")
                options = ["--precision", precision, "--threads", "1"]
                log = Path(f"serve-{number}.log")
                server = stack.enter_context(service.served(given.model, options, log))
                ask_service.append(_serving(server, given.lines, given.seconds))
            _compare(f"service {precision}", ask_service, given.rounds)


def _compare(work: str, measures: list[Callable[[], float]], rounds: int) -> None:
    times: list[list[float]] = [[], []]
    for turn in range(rounds + 1):
        for tree in (0, 1) if turn % 2 else (1, 0):
            spent = measures[tree]()
            if turn:  # the first warms up
                times[tree].append(spent)
    old, new = times
    ratio = median(b / a for a, b in zip(old, new, strict=True))
    load = os.getloadavg()[0]
    print(f"{work}: {median(old):.1f} {median(new):.1f} ratio {ratio:.2f}, load {load:.0f}")


def _asking(worker: subprocess.Popen[str]) -> Callable[[str], float]:
    def ask(work: str) -> float:
        assert worker.stdin is not None
        assert worker.stdout is not None
        print(work, file=worker.stdin, flush=True)
        return float(worker.stdout.readline())

    return ask


def _serving(server: service.Server, lines: Path, seconds: float) -> Callable[[], float]:
    texts = lines.read_text("utf-8").splitlines()

    def cpu_seconds() -> float:
        fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def serve() -> float:
        before = cpu_seconds()
        tally = asyncio.run(service.ask(server.port, texts, _CLIENTS, seconds))
        return 1e3 * (cpu_seconds() - before) / tally.statuses[200]

    return serve


def work_for_ever(model: str, lines: str) -> None:
    """Do what each line of standard input names; answer with its CPU time in ms."""
    import torch

    from penstock.bench import decoding_speed, training_speed
    from penstock.config import RunConfig

    torch.set_num_threads(1)
    contenders, _, sources = decoding_speed.decoding_work(
        Path(model), lines, None, 256, engine="torch"
    )
    engines = {own.precision: own.engine for own in contenders}
    middle = len(sources) // 2
    ordered = sorted(sources, key=len)
    batches = training_speed.random_batches(8000, 1000, count=4)
    training = {
        precision: training_speed.trained_network(
            RunConfig().model, 8000, precision, torch.device("cpu")
        )
        for precision in ("fp32", "bf16")
    }

    def run(work: str) -> None:
        if work.startswith("train"):
            _, update, gradients = training[work.split()[1]]
            for batch in batches:
                tokens = gradients.add(batch)
                gradients.finish()
                update.step(tokens, 1e-3)
                if update.must_read:
                    update.read()
            return
        name, precision, size = work.split()
        chosen = ordered[middle - int(size) // 2 :][: int(size)]
        search = "beam" if name == "beam" else "greedy"
        decoding_speed.Work(engines[precision], chosen, search, 5).decode()

    for line in sys.stdin:
        begun = time.process_time()
        run(line.strip())
        spent = 1e3 * (time.process_time() - begun)
        print(spent / len(batches) if line.startswith("train") else spent, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        work_for_ever(*sys.argv[2:])
    else:
        main()
