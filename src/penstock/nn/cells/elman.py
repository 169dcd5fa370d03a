"""The simple recurrent network: h' = tanh(x W_ih + b_ih + h W_hh + b_hh).

Elman 1990, 'Finding structure in time', https://doi.org/10.1207/s15516709cog1402_1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from penstock.nn.cells.activation import tanh_, tanh_backward
from penstock.nn.cells.cell_spec import CellSpec, PackedForm, Slices, TorchKernel, V


def rnn(x: V, h: V, c: None, from_state: Callable[[V], V]) -> dict[str, V]:
    """One step; `x` and `from_state(h)` are products with their biases."""
    return {"hidden": (x + from_state(h)).tanh()}


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, products: Tensor, h0: Tensor, weight: Tensor, slices: Slices
    ) -> tuple[Tensor, Tensor]:
        outputs = torch.zeros_like(products)
        before_h = torch.zeros_like(products)
        h = h0.clone()
        weight_t = weight.t()
        for start, n in slices:
            at = slice(start, start + n)
            before_h[at] = h[:n]
            h[:n] = torch.addmm(products[at], h[:n], weight_t, out=outputs[at]).tanh_()
        ctx.save_for_backward(outputs, before_h, weight)
        ctx.slices = slices
        return outputs, h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor, d_h: Tensor):  # type: ignore[override]
        outputs, before_h, weight = ctx.saved_tensors
        d_products = torch.zeros_like(outputs)
        d_h = d_h.clone()
        for start, n in reversed(ctx.slices):
            at = slice(start, start + n)
            dh = d_h[:n].add_(d_out[at])
            tanh_backward(dh, outputs[at], grad_input=d_products[at])
            torch.mm(d_products[at], weight, out=dh)
        return d_products, d_h, d_products.t() @ before_h, None


def _fused(
    products: Tensor, h: Tensor, c: None, weight_hh: Tensor, bias_hh: Tensor, slices: Slices
) -> tuple[Tensor, Tensor, None]:
    h = h.to(products.dtype)
    outputs, h = _Sequence.apply(products + bias_hh, h, weight_hh, slices)  # pyright: ignore
    return outputs, h, None


def _packed_step(products: Tensor, _: None, h: Tensor, c: None) -> tuple[Tensor, None]:
    return tanh_(products), None


CELL = CellSpec(
    name="rnn",
    equations=rnn,
    blocks=1,
    joined=True,
    fused=_fused,
    kernel=TorchKernel(nn.RNN, torch.rnn_tanh),
    packed=PackedForm(_packed_step),
)
