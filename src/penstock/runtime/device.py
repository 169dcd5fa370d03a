"""Where a model runs."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from pathlib import Path

import torch

from penstock.config.option_model import usable_threads
from penstock.errors import UsageError

_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def prepare_torch(device: str, threads: int | None) -> str:
    """Set the threads of torch and choose its device (see `choose_device`), by name."""
    if threads is not None:
        torch.set_num_threads(usable_threads(threads))
    return str(choose_device(device))


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one, else the CPU.

    Raises:
        UsageError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split("\n")[0]
        raise UsageError(f"device {name!r}: not available here ({reason}); try 'cpu'") from None
    if device.type == "cuda":  # our cells' weights are apart, also in the state of an optimizer
        warnings.filterwarnings("ignore", message="RNN module weights are not part of single")
    return device


def machine_memory(device: torch.device) -> int | None:
    """Bytes of memory that a device has in all; None if the system does not say."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    if device.type != "cpu" or not hasattr(os, "sysconf"):
        return None
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # a container's limit; "max" is none
        total = min(total, int(_CONTAINER_LIMIT.read_text()))
    return total
