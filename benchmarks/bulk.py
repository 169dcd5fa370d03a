"""Lines a second of bulk translation, by processes of this machine and on a local Ray cluster.

    python benchmarks/bulk.py [--lines 1000] [--shards 4] [--workers 1 2] [--ray] [-m demo]

`wall` has the start of processes and the loading of models in it; `per cpu second` is what a core
gives by itself, by the processor time that the workers spent on shards.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from penstock.bulk.bulk_run import translate_shards
from penstock.bulk.shards import MANIFEST
from penstock.bulk.worker_pool import translate_in_processes
from penstock.data.grammar import generate_pairs
from penstock.tasks.translation.translation_job import TranslationJob


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", "-m", default="demo")
    parser.add_argument("--lines", type=int, default=1000, help="of a shard")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--ray", action="store_true")
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        sources = [pair.source for pair in generate_pairs(options.lines * options.shards)]
        for n in range(options.shards):
            lines = sources[n * options.lines : (n + 1) * options.lines]
            text = "".join(f"{line}\n" for line in lines)
            (folder / "in" / f"{n:04}.txt").write_text(text, encoding="utf-8")
        print("workers\twall: lines/s\tper cpu second")
        for count in options.workers:
            measure(folder, options.model, count, on_ray=options.ray)


def measure(folder: Path, model: str, count: int, *, on_ray: bool) -> None:
    if on_ray:
        import ray

        from penstock.ray import translate_on_ray

        ray.init(num_cpus=count, include_dashboard=False, log_to_driver=False)
        execute = partial(translate_on_ray, address="auto")
    else:
        execute = partial(translate_in_processes, processes=count)
    out, begun = folder / f"out-{count}", time.perf_counter()
    job = TranslationJob(models=(model,))
    translate_shards(job, [str(folder / "in" / "*")], out, execute, lambda _: None)
    seconds = time.perf_counter() - begun
    reports = [json.loads(line) for line in (out / MANIFEST).read_text().splitlines()[1:]]
    lines = sum(sum(report["statuses"].values()) for report in reports)
    per_core = lines / sum(report["cpu_seconds"] for report in reports)
    print(
        f"{count}{' on Ray' if on_ray else ''}\t{lines / seconds:,.0f}\t{per_core:,.0f}", flush=True
    )
    if on_ray:
        ray.shutdown()


if __name__ == "__main__":
    main()
