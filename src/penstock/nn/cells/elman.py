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
from penstock.nn.cells.packed_steps import PackedSteps


def rnn(x: V, h: V, c: None, from_state: Callable[[V], V]) -> dict[str, V]:
    """One step; `x` and `from_state(h)` are products with their biases."""
    return {"hidden": (x + from_state(h)).tanh()}


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, products: Tensor, h0: Tensor, weight: Tensor, slices: Slices
    ) -> tuple[Tensor, Tensor]:
        steps = PackedSteps(slices, len(products))
        outputs = torch.zeros_like(products)
        x, h = steps.views(products), steps.views(outputs)
        before_h: list[Tensor] = []
        weight_t = weight.t()
        for t in range(len(slices)):
            before_h.append(steps.before(t, h, h0))
            torch.addmm(x[t], before_h[t], weight_t, out=h[t]).tanh_()
        ctx.save_for_backward(outputs, steps.join(before_h), weight)
        ctx.steps = steps
        return outputs, steps.last(h)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor, d_h: Tensor):  # type: ignore[override]
        outputs, before_h, weight = ctx.saved_tensors
        steps: PackedSteps = ctx.steps
        d_products = torch.zeros_like(outputs)
        h, d_output, d_x = map(steps.views, (outputs, d_out, d_products))
        d_h = d_h.clone()
        for t in range(len(h) - 1, -1, -1):
            dh = d_h[: steps.rows[t]].add_(d_output[t])
            tanh_backward(dh, h[t], grad_input=d_x[t])
            torch.mm(d_x[t], weight, out=dh)
        return d_products, d_h, d_products.t() @ before_h, None


def _fused(
    products: Tensor, h: Tensor, c: None, weight_hh: Tensor, bias_hh: None, slices: Slices
) -> tuple[Tensor, Tensor, None]:
    h = h.to(products.dtype)
    outputs, h = _Sequence.apply(products, h, weight_hh, slices)  # pyright: ignore
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
