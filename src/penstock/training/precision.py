"""Mixed precision: bf16 products with fp32 weights."""

from __future__ import annotations

import torch

from penstock.config import Precision


def choose_precision(wanted: Precision, device: torch.device) -> Precision:
    """Resolve `auto`: bf16 where the hardware has instructions for it, which torch reports.

    An x86 CPU with AVX512_BF16 or AMX makes bf16 products more than twice as fast as fp32 ones; one
    without emulates them and takes more than twice as long (docs/benchmarks.md). Nothing is timed:
    what a run computes must not depend on the load of the machine. The result is saved with the
    run, so that resuming elsewhere changes nothing.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "fp32" if emulates_bf16(device) else "bf16"
    # torch 2.6 has no public name for them
    avx512_bf16 = torch.cpu._is_avx512_bf16_supported()  # pyright: ignore[reportPrivateUsage]
    amx = torch.cpu._is_amx_tile_supported()  # pyright: ignore[reportPrivateUsage]
    return "bf16" if device.type == "cpu" and (avx512_bf16 or amx) else "fp32"


def emulates_bf16(device: torch.device) -> bool:
    """Whether a GPU has no instructions for bf16: it emulates them, slower than fp32."""
    return device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False)


def describe_torch() -> dict[str, object]:
    """The state of torch for `penstock doctor`: threads, GPU, the precision of `auto`."""
    cuda = torch.cuda.is_available()
    return {
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if cuda else "none",
        "precision": choose_precision("auto", torch.device("cuda" if cuda else "cpu")),
    }


def mixed(
    precision: Precision, device: torch.device, *, keeps_casts: bool = True
) -> torch.autocast:
    """An autocast context, enabled for bf16.

    With `keeps_casts` it casts a weight once, which no CUDA graph may rely on.
    """
    return torch.autocast(
        device.type, torch.bfloat16, enabled=precision == "bf16", cache_enabled=keeps_casts
    )
