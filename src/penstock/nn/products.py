"""Matrix products over a varying number of rows, in few distinct shapes.

On a CPU a low-precision product is compiled for its exact shape when that shape is first met, at
the price of many products, and kept in a cache of limited size. Batches of text come in hundreds
of shapes: without rounding, training compiles more than it multiplies. So rows are rounded up to
a multiple of `ROWS` with zeros, which changes no result.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import linear, pad

ROWS = 32


def pad_rows(x: Tensor) -> Tensor:
    """(N, ·) with N rounded up to a multiple of `ROWS` by rows of zeros; unchanged on a GPU."""
    missing = -x.shape[0] % ROWS
    return pad(x, (0, 0, 0, missing)) if missing and not x.is_cuda else x


def rows_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`torch.nn.functional.linear` over (…, I), its rows rounded up."""
    rows = x.reshape(-1, x.shape[-1])
    return linear(pad_rows(rows), weight, bias)[: rows.shape[0]].view(*x.shape[:-1], -1)


def alike_rows(rows: int) -> int:
    """The number of rows to compute so that each row comes out the same in any batch.

    Kernels treat the last rows of a product otherwise than blocks of four, and round otherwise. In
    products of a multiple of four rows each row is bit for bit what it is alone; results of a
    search then do not depend on the batch. (Measured with MKL and oneDNN; see docs/design.md.)
    """
    return -(-rows // 4) * 4
