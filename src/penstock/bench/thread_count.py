"""The threads that a measurement runs on."""

from __future__ import annotations

import torch


def use_threads(threads: int | None) -> int:
    """Set torch's threads, where a number is given, and say how many it has."""
    if threads is not None:
        torch.set_num_threads(threads)
    return torch.get_num_threads()
