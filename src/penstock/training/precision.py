"""Mixed precision: bf16 products with fp32 weights, where that is faster."""

from __future__ import annotations

import time
from statistics import median

import torch

from penstock.config import Precision


def choose_precision(wanted: Precision, device: torch.device) -> Precision:
    """Resolve `auto`: on CUDA by hardware support, on a CPU by timing one product both ways.

    A CPU without bf16 instructions emulates them slowly, one with them is several times faster.
    Timing one product of the size of a training step's distinguishes the two in a few hundredths
    of a second. The result is saved with the run, so that resuming does not time again.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type != "cpu":
        return "fp32"
    seconds = {dtype: _product_seconds(dtype) for dtype in (torch.float32, torch.bfloat16)}
    return "bf16" if seconds[torch.bfloat16] < 0.8 * seconds[torch.float32] else "fp32"


def describe_torch() -> dict[str, object]:
    """The state of torch for `penstock doctor`: threads, GPU, the precision of `auto`."""
    cuda = torch.cuda.is_available()
    return {
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if cuda else "none",
        "precision": choose_precision("auto", torch.device("cuda" if cuda else "cpu")),
    }


def _product_seconds(dtype: torch.dtype) -> float:
    a, b = torch.ones(512, 512, dtype=dtype), torch.ones(512, 1024, dtype=dtype)
    times: list[float] = []
    for _ in range(7):
        start = time.perf_counter()
        torch.mm(a, b)
        times.append(time.perf_counter() - start)
    return median(times[2:])


def mixed(precision: Precision, device: torch.device) -> torch.autocast:
    """An autocast context, enabled for bf16."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
