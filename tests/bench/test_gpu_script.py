"""benchmarks/gpu.sh: what of it a machine without a GPU can run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.sh"
pytestmark = pytest.mark.skipif(shutil.which("sh") is None, reason="needs a shell")


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(SCRIPT), *arguments],
        env={**os.environ, "PYTHON": str(python)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """A Python whose penstock and pytest print what they would on a GPU."""
    real = shutil.which("python3") or "python3"
    path = tmp_path / "python"
    path.write_text(
        f"""#!/bin/sh
case "$1 $2 $3 $4" in
"-c import"*torch*) echo card ;;
"-c "*) exec {real} "$@" ;;
"-m pytest"*) ;;
"-m penstock bench train") echo '{{"tokens_per_second": 1234567.8, "busy": 0.91, "ratio_bf16": 0.5,
  "precision": "bf16", "parameters": 11500000}}' ;;
"-m penstock bench translate") echo '{{"rows": [{{"search": "beam", "sentences_per_second": 10000.4,
  "busy": 0.8}}]}}' ;;
"-m penstock evaluate"*) echo "BLEU 38.2" ;;
"-m penstock train"*) test -z "$FAIL" ;;
*) exit 9 ;;
esac
""",
        encoding="utf-8",
    )
    path.chmod(0o755)
    return path


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_cuda_it_says_so_at_once() -> None:
    ran = run(Path(sys.executable))
    assert ran.returncode == 1
    assert ran.stderr == "gpu.sh: no CUDA device here\n"


def test_it_ends_with_one_line_per_row(fake: Path) -> None:
    ran = run(fake, "data")
    assert ran.returncode == 0, ran.stderr
    rows = dict(line.split("\t") for line in ran.stdout.splitlines() if "\t" in line)
    assert len(rows) == 9
    assert rows["11 M LSTM, 400 target tokens"] == (
        "1,234,568 tokens/s, kernels busy 91%, 0.50 of the bf16 limit, bf16 of 12 M parameters"
    )
    assert rows["beam 5, batch 512, 10000 lines"].startswith("beam 10,000 sentences/s, kernels")
    last = rows["examples/multi30k-de-en.toml, seconds to BLEU 37 on test_2016_flickr"]
    assert re.fullmatch(r"\d+ s for the whole run, which then has BLEU 38\.2", last)


def test_a_row_that_failed_is_said_and_shows_in_the_status(
    fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIL", "1")
    ran = run(fake, "data")
    assert ran.returncode == 1
    assert "failed, or longer than 110 s" in ran.stdout
    assert "left out" in run(fake).stdout
