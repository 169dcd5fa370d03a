"""The figures of docs/assets/live outside of a page: Node.js computes them."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
LIVE = ROOT / "docs/assets/live"

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")


def in_node(script: str, expression: str, value: object = None) -> Any:
    """What an expression of `figure`, a script of the page, and `value` gives."""
    program = (
        f"const figure = require({json.dumps(str(LIVE / script))});"
        "const value = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        f"console.log(JSON.stringify({expression}))"
    )
    ran = subprocess.run(
        ["node", "-e", program], input=json.dumps(value), capture_output=True, text=True,
        check=True, timeout=60,
    )  # fmt: skip
    return json.loads(ran.stdout)


@cache
def example(name: str) -> dict[str, Any]:
    """What a script of examples/ defines."""
    return runpy.run_path(str(ROOT / "examples" / name))
