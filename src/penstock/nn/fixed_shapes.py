"""Computation whose shapes do not depend on values, as a GPU needs it.

On a GPU, a shape that depends on values (a selection, a packed sequence) makes the host wait for
the device, and cannot be captured in a CUDA graph. Such places compute padded rows with a mask
there instead; results are equal. A CPU takes the shorter way, except inside `fixed_shapes`.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

_asked = ContextVar("fixed_shapes", default=False)


def has_fixed_shapes(x: Tensor) -> bool:
    """Whether shapes must not depend on the values of x or of what comes with it."""
    return x.is_cuda or _asked.get()


@contextmanager
def fixed_shapes() -> Generator[None]:
    """Compute on a CPU as on a GPU."""
    token = _asked.set(True)
    try:
        yield
    finally:
        _asked.reset(token)
