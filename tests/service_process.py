"""A `penstock serve` in a process of its own, however it is started."""

from __future__ import annotations

import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager


@contextmanager
def served(command: Sequence[str], environment: Mapping[str, str]) -> Generator[str]:
    """The address of a service; it must end well when told to."""
    process = subprocess.Popen(
        [*command, "--port", "0"], stderr=subprocess.PIPE, text=True, env=environment
    )
    with process:
        assert process.stderr is not None
        said: list[str] = []
        for line in process.stderr:
            said.append(line)
            if "serving" in line:
                break
        assert process.poll() is None, "".join(said)
        try:
            yield said[-1].strip().rpartition(" on ")[2]
        finally:
            process.terminate()
            process.communicate(timeout=30)
    assert process.returncode == 0
