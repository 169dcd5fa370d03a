"""Freed memory is kept for the next update."""

import subprocess
import sys

import pytest

_FAULTS = """
import resource
import torch
from penstock.training.allocator import keep_freed_memory

assert keep_freed_memory()
torch.set_num_threads(1)
for _ in range(20):
    torch.ones(1_000_000), torch.ones(4_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(1_000_000), torch.ones(4_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_repeated_allocations_do_not_fault() -> None:
    """20 MB in 4 KB pages are 5,000 faults each time if memory is returned."""
    done = subprocess.run(
        [sys.executable, "-c", _FAULTS], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 1000
