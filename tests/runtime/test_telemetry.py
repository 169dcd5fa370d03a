"""ONNX Runtime's official builds report to their maker; here they do not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_the_runtime_leaves_no_identifier_and_no_events(tmp_path: Path) -> None:
    names = ("XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    # imported by itself, it writes .cache/Microsoft/DeveloperTools/.onnxruntime/deviceid
    subprocess.run(
        [sys.executable, "-c", "import penstock.runtime.onnx.session"],
        check=True,
        env={**environment, "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert not list(tmp_path.rglob("*"))
