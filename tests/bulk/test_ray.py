"""The same translations on a Ray cluster, also when a worker is killed."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from penstock.bulk.bulk_run import translate_shards
from penstock.bulk.shard_translation import ShardReport
from penstock.bulk.shards import Shard
from penstock.bulk.worker_pool import translate_in_processes
from penstock.tasks.translation.translation_job import TranslationJob

Penstock = Callable[..., tuple[int, str, str]]

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'penstock[ray]'"
)
SHARDS = 4
LINES = [f"I have {n} dogs and she does not see the cats." for n in range(100)]


@needs_ray
def test_a_cluster_that_is_not_there(penstock: Penstock, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("A dog.\n")
    common = ("translate", "-m", "demo", "--inputs", tmp_path / "in.txt", "--out-dir")
    code, out, err = penstock(*common, tmp_path / "out", "--ray", "127.0.0.1:9")
    assert (code, out) == (1, "")
    assert "penstock: --ray 127.0.0.1:9: no cluster can be reached: [Errno 111] Conn" in err
    assert err.count("\n") == 1
    code, _, err = penstock(*common, tmp_path / "out", "--ray", "auto", "--processes", "2")
    assert (code, "--ray uses the cluster's cores; leave --processes out" in err) == (2, True)


def test_ray_is_an_extra(penstock: Penstock, monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("A dog.\n")
    monkeypatch.setitem(sys.modules, "ray", None)
    command = ("translate", "-m", "demo", "--inputs", tmp_path / "in.txt", "--out-dir")
    code, _, err = penstock(*command, tmp_path / "out", "--ray", "auto")
    assert (code, "pip install 'penstock[ray]'" in err) == (1, True)


def test_a_shard_at_which_workers_die_is_given_up(tmp_path: Path) -> None:
    from penstock import ray

    worker, seen = object.__new__(ray._ShardTranslator), list[str]()

    def translate(shard: Shard) -> ShardReport:
        seen.append(shard.name)
        return ShardReport(shard=shard.name)

    worker._translate = translate
    for n in range(3):  # as `replacing` names them
        (tmp_path / f".bad.txt.{n}-abcd0123").touch()
        (tmp_path / ".good.txt.1-abcd0123").touch()
    rows = {name: [str(tmp_path / f"{x}.txt") for x in ("bad", "good")] for name in ray._COLUMNS}
    bad, good = (json.loads(report) for report in worker(rows)["report"])
    assert "bad.txt: 3 workers that translated it died; is there enough memory" in bad["problem"]
    assert (good["problem"], seen) == ("", ["good.txt"])


CLUSTER = """
import sys, ray
from penstock.cli.app import run
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
inputs, out = sys.argv[1:]
code = run(["translate", "-m", "demo", "--inputs", inputs, "--out-dir", out, "--ray", "auto"])
from penstock.ray import translate
rows = ray.data.from_items([{"text": text, "n": n} for n, text in enumerate(["A dog.", "", None])])
for row in translate(rows, model="demo", workers=1).take_all():
    print(row["n"], row["translation_status"], row["translation"])
sys.exit(code)
"""


@needs_ray
@pytest.mark.timeout(600)  # Ray starts a dozen processes
@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_two_workers_one_killed_write_every_line_once(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for n in range(SHARDS):
        lines = "".join(f"{line} {n}\n" for line in LINES)
        (tmp_path / "in" / f"{n}.txt").write_text(lines)
    pattern, out = str(tmp_path / "in" / "*.txt"), tmp_path / "out"
    killed: list[int] = []
    finished = threading.Event()

    def kill() -> None:
        while not killed and not finished.is_set():
            for path in out.glob(".2.txt.*-*"):
                killed.append(int(path.suffix[1:].partition("-")[0]))
                os.kill(killed[0], signal.SIGKILL)
            time.sleep(0.002)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        run = subprocess.run(
            [sys.executable, "-c", CLUSTER, pattern, str(out)],
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
            # an absolute path, as the workers run elsewhere
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
        )
    finally:
        finished.set()
        killer.join()
    assert run.returncode == 0, run.stderr
    assert len(killed) == 1
    assert f"{SHARDS} shards; {SHARDS * len(LINES):,} lines translated" in run.stderr
    execute = partial(translate_in_processes, processes=1)
    job, notes = TranslationJob(models=("demo",)), list[str]()
    translate_shards(job, [pattern], tmp_path / "alone", execute, notes.append)
    for n in range(SHARDS):
        mine = (out / f"{n}.txt").read_bytes()
        assert mine.count(b"\n") == len(LINES)
        assert mine == (tmp_path / "alone" / f"{n}.txt").read_bytes()
    assert len(list(out.iterdir())) == SHARDS + 1  # and the manifest: nothing half-written
    # Ray itself writes there too
    rows = [row.split() for row in run.stdout.splitlines() if row[:1].isdigit()]
    expected = job.load().translate(["A dog."])[0]
    assert rows == [
        ["0", expected.status, *expected.text.split()],
        ["1", "empty"],
        ["2", "empty"],
    ]
