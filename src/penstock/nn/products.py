"""Matrix products over a varying number of rows: in few distinct shapes, by weights laid out once.

On a CPU a low-precision product is compiled for its exact shape when that shape is first met, at
the price of many products, and kept in a cache of limited size. Batches of text come in hundreds
of shapes: without rounding, training compiles more than it multiplies. So rows are rounded up to
a multiple of `ROWS` with zeros, which changes no result.
"""

from __future__ import annotations

import torch
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


def batch_invariant_rows(rows: int) -> int:
    """The number of rows to compute so that each row comes out the same in any batch.

    Kernels treat the last rows of a product otherwise than blocks of four, and round otherwise. In
    products of a multiple of four rows each row is bit for bit what it is alone; results of a
    search then do not depend on the batch. (Measured with MKL and oneDNN; see docs/design.md.)

    Large numbers are rounded up further, to one of eight between powers of two: each number for
    which a product is compiled takes 0.6 MB, and a service meets all of them.
    """
    step = max(4, 1 << max(0, (rows - 1).bit_length() - 4))
    return -(-rows // step) * step


class PackedLinear:
    """`linear(x, weight, bias)` by weights that change no more, laid out once for the processor.

    The usual product lays the weights out anew each time, which takes longer than a product of few
    rows: of four rows this one is 2 to 6 times as fast, of hundreds 1.1 to 1.4 times. Where torch
    lacks these kernels, or the type or the device has none, it is the usual product.

    Args:
        weight: (O, I).
        bias: (O,), or None.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight = weight.detach()
        self.bias = None if bias is None else bias.detach()
        self._packed = _prepack(self.weight)

    def __call__(self, x: Tensor) -> Tensor:
        """x (N, I) to (N, O)."""
        if self._packed is None:
            return linear(x, self.weight, self.bias)
        rows = x.shape[0]
        missing = batch_invariant_rows(rows) - rows
        x = pad(x, (0, 0, 0, missing)) if missing else x
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, "none", [], "")[:rows]

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The product of x (N, I), and other (N, O) added to it before it is rounded."""
        if self._packed is None:
            return torch.addmm(other, x, self.weight.t()) if self.bias is None else self(x) + other
        return torch.ops.mkldnn._linear_pointwise.binary(x, other, self._packed, self.bias, "add")


_USUAL_ROWS = 64  # what the layout is best for; it is good for any


def _prepack(weight: Tensor) -> Tensor | None:
    """The weights as oneDNN wants them; None where it has no use for them."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return None
    # torch's compiler uses these; nothing else of torch's offers them
    kernels = torch.ops.mkldnn
    if not hasattr(kernels, "_linear_pointwise") or not hasattr(kernels, "_reorder_linear_weight"):
        return None
    supported = weight.dtype == torch.float32 or (
        weight.dtype == torch.bfloat16 and kernels._is_mkldnn_bf16_supported()
    )
    return kernels._reorder_linear_weight(weight, _USUAL_ROWS) if supported else None
