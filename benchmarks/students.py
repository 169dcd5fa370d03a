"""How fast models translate, side by side: a student beside its teacher.

    python benchmarks/students.py -m TEACHER -m STUDENT SOURCES [--repeats 5]

Whole `translate` calls on one thread, the models alternating, with a beam of 5 and of 2 and greedy:
medians of wall time, and of the processor time of the process, which other work on the machine
disturbs less. A ratio above 1: faster than the first model with a beam of 5.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

from penstock.data.formats.input_lines import read_lines
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.translator import Translator

SEARCHES = {
    "beam:5": SearchOptions(search="beam", beam_size=5),
    "beam:2": SearchOptions(search="beam", beam_size=2),
    "greedy": SearchOptions(search="greedy"),
}
Run = tuple[str, str]  # model and search


def main() -> None:
    """Print a table for batches of 64 and one for single sentences."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-m", "--model", action="append", required=True, help="the teacher first")
    parser.add_argument("sources", help="a line per sentence")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    models = {path: Translator.load(path, threads=1) for path in arguments.model}
    lines = [line.text for line in read_lines(arguments.sources)]
    for batch, sentences in ((64, 512), (1, 32)):
        print(f"batch {batch}: sentences/s, ratio; by processor time: sentences/s, ratio")
        times = measure(models, lines[:sentences], batch, arguments.repeats)
        first = times[arguments.model[0], "beam:5"]
        for (model, search), own in times.items():
            cells = [
                f"{min(sentences, len(lines)) / seconds:8.1f} {limit / seconds:6.2f}"
                for seconds, limit in zip(own, first, strict=True)
            ]
            print(f"  {search:8}{'  '.join(cells)}  {model}")


def measure(
    models: dict[str, Translator], lines: Sequence[str], batch: int, repeats: int
) -> dict[Run, list[float]]:
    """Median seconds of wall and of processor time, by model and search."""
    parts = [lines[i : i + batch] for i in range(0, len(lines), batch)]
    if batch > 1:
        parts = [lines]  # `translate` makes batches of 64 of similar length
    times: dict[Run, list[list[float]]] = {(m, s): [[], []] for m in models for s in SEARCHES}
    for repeat in range(repeats + 1):
        for (model, search), (walls, processors) in times.items():
            wall, processor = time.perf_counter(), time.process_time()
            for part in parts:
                models[model].translate(part, SEARCHES[search])
            if repeat:  # the first round warms up
                walls.append(time.perf_counter() - wall)
                processors.append(time.process_time() - processor)
    return {run: [statistics.median(own) for own in both] for run, both in times.items()}


if __name__ == "__main__":
    main()
