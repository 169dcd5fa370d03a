"""Matrix products over a varying number of rows: few distinct shapes, prepacked weights.

On a CPU a low-precision product is compiled for its exact shape when first met, at the cost of many
products, and kept in a cache of limited size. Batches of text have hundreds of shapes, so training
would compile more than it multiplies. Rows are therefore padded with zeros to a multiple of `ROWS`,
which changes no result.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear, pad

from penstock.nn.fixed_shapes import has_fixed_shapes

ROWS = 32


def pad_rows(x: Tensor) -> Tensor:
    """Pad (N, ·) with rows of zeros to a multiple of `ROWS`; unchanged on a GPU."""
    missing = -x.shape[0] % ROWS
    return pad(x, (0, 0, 0, missing)) if missing and not has_fixed_shapes(x) else x


def rows_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`torch.nn.functional.linear` over (…, I), with padded rows."""
    rows = x.reshape(-1, x.shape[-1])
    return linear(pad_rows(rows), weight, bias)[: rows.shape[0]].view(*x.shape[:-1], -1)


def batch_invariant_rows(rows: int) -> int:
    """The number of rows to compute so that each row's result is independent of the batch.

    Kernels compute blocks of four rows differently from the remaining rows, with other rounding. In
    products with a multiple of four rows, each row is bit for bit what it is alone, so search
    results do not depend on the batch. (Measured with MKL and oneDNN; see docs/design.md.)

    Large numbers are rounded up to one of eight between powers of two: each number for which a
    product is compiled takes 0.6 MB, and a service meets all of them.
    """
    step = max(4, 1 << max(0, (rows - 1).bit_length() - 4))
    return -(-rows // step) * step


class PackedLinear:
    """`linear(x, weight, bias)` with frozen weights, prepacked for the processor.

    The usual product packs the weights every time, which takes longer than a product of few rows:
    with four rows this is 2 to 6 times as fast, with hundreds 1.1 to 1.4 times. If torch has no
    such kernels for the dtype or the device, it is the usual product.

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
        """The product of x (N, I) plus other (N, O), added before rounding."""
        if self._packed is None:
            return torch.addmm(other, x, self.weight.t()) if self.bias is None else self(x) + other
        return torch.ops.mkldnn._linear_pointwise.binary(x, other, self._packed, self.bias, "add")


_USUAL_ROWS = 64  # the packing is best for this number and works for any


def _prepack(weight: Tensor) -> Tensor | None:
    """The weights in oneDNN's packed format; None where that is not supported."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return None
    # used by torch's compiler; there is no public interface
    kernels = torch.ops.mkldnn
    if not hasattr(kernels, "_linear_pointwise") or not hasattr(kernels, "_reorder_linear_weight"):
        return None
    supported = weight.dtype == torch.float32 or (
        weight.dtype == torch.bfloat16 and kernels._is_mkldnn_bf16_supported()
    )
    return kernels._reorder_linear_weight(weight, _USUAL_ROWS) if supported else None
