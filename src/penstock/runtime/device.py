"""Where a model runs."""

from __future__ import annotations

import torch

from penstock.errors import UsageError


def prepare_torch(device: str, threads: int | None) -> str:
    """Set the threads of torch and choose its device (see `choose_device`), by name."""
    if threads is not None:
        torch.set_num_threads(threads)
    return str(choose_device(device))


def choose_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one, else the CPU.

    Raises:
        UsageError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split("\n")[0]
        raise UsageError(f"device {name!r}: not available here ({reason}); try 'cpu'") from None
    return device
