"""Times matrix products in fp32 and bf16: what `training.precision = "auto"` goes by.

ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI python benchmarks/bf16_products.py
"""

from __future__ import annotations

import time

import torch
from torch.nn.functional import linear

SIZES = [(512, 512, 1024), (1000, 512, 2048), (1000, 512, 8000), (64, 512, 2048)]


def cpu_milliseconds(size: tuple[int, int, int], dtype: torch.dtype) -> float:
    """Of (rows, inner) by (inner, outer): the shortest of 15."""
    rows, inner, outer = size
    x, weight = torch.ones(rows, inner, dtype=dtype), torch.ones(outer, inner, dtype=dtype)
    times: list[float] = []
    for _ in range(18):
        begun = time.process_time()
        linear(x, weight)
        times.append(1e3 * (time.process_time() - begun))
    return min(times[3:])


def main() -> None:
    """Print a line for each size."""
    torch.set_num_threads(1)
    for size in SIZES:
        single, half = (cpu_milliseconds(size, d) for d in (torch.float32, torch.bfloat16))
        name = "x".join(map(str, size))
        print(f"{name}: fp32 {single:.1f} ms, bf16 {half:.1f} ms, {single / half:.2f}")


if __name__ == "__main__":
    main()
