"""The gated recurrent unit, in both published forms.

`after` applies the reset gate after the product, R⊙(HW + b), as torch and cuDNN do; `before`
applies it before, (R⊙H)W + b, as the book and Cho et al. 2014
(https://arxiv.org/abs/1406.1078) do. Gate order r, z, n, as in torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from penstock.nn.cells.activation import sigmoid_backward, tanh_, tanh_backward
from penstock.nn.cells.cell_spec import CellSpec, PackedForm, Slices, TorchKernel, V


def gru(x: V, h: V, c: None, from_state: Callable[[V], V]) -> dict[str, V]:
    """One step; `x` and `from_state(h)` are products with their biases."""
    x_r, x_z, x_n = x.chunk(3, -1)
    h_r, h_z, h_n = from_state(h).chunk(3, -1)
    r = (x_r + h_r).sigmoid()  # reset gate
    z = (x_z + h_z).sigmoid()  # update gate
    n = (x_n + r * h_n).tanh()  # candidate
    h = (1 - z) * n + z * h
    return {"reset": r, "update": z, "candidate": n, "hidden": h}


def gru_before(x: V, h: V, c: None, from_state: Callable[[V], V]) -> dict[str, V]:
    """One step with the reset gate before the product."""
    x_r, x_z, x_n = x.chunk(3, -1)
    h_r, h_z, _ = from_state(h).chunk(3, -1)
    r = (x_r + h_r).sigmoid()
    z = (x_z + h_z).sigmoid()
    _, _, h_n = from_state(r * h).chunk(3, -1)
    n = (x_n + h_n).tanh()
    h = (1 - z) * n + z * h
    return {"reset": r, "update": z, "candidate": n, "hidden": h}


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, products: Tensor, h0: Tensor, weight: Tensor, bias: Tensor, slices: Slices
    ) -> tuple[Tensor, Tensor]:
        size = weight.shape[1]
        gates = torch.empty_like(products)  # (N, 3H) after their non-linearities
        outputs = products.new_zeros(products.shape[0], size)
        before_h, from_h = torch.zeros_like(outputs), torch.empty_like(outputs)
        h = h0.clone()
        weight_t = weight.t()
        for start, n in slices:
            at = slice(start, start + n)
            before_h[at] = h[:n]
            hidden = torch.addmm(bias, h[:n], weight_t)
            gate = gates[at]
            torch.add(products[at, : 2 * size], hidden[:, : 2 * size], out=gate[:, : 2 * size])
            gate[:, : 2 * size].sigmoid_()
            r, z, candidate = gate.split(size, 1)
            from_h[at] = hidden[:, 2 * size :]
            torch.addcmul(products[at, 2 * size :], r, from_h[at], out=candidate)
            candidate.tanh_()
            h[:n] = torch.lerp(candidate, h[:n], z, out=outputs[at])  # (1 - z) n + z h
        ctx.save_for_backward(gates, before_h, from_h, weight)
        ctx.slices = slices
        return outputs, h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor, d_h: Tensor):  # type: ignore[override]
        gates, before_h, from_h, weight = ctx.saved_tensors
        size = weight.shape[1]
        d_inputs, d_hidden = torch.zeros_like(gates), torch.zeros_like(gates)
        d_h = d_h.clone()
        for start, n in reversed(ctx.slices):
            at = slice(start, start + n)
            r, z, candidate = gates[at].split(size, 1)
            d_r, d_z, d_n = d_inputs[at].split(size, 1)
            dh = d_h[:n].add_(d_out[at])
            tanh_backward(dh - dh * z, candidate, grad_input=d_n)
            sigmoid_backward(dh * (before_h[at] - candidate), z, grad_input=d_z)
            sigmoid_backward(d_n * from_h[at], r, grad_input=d_r)
            d_hidden[at, : 2 * size] = d_inputs[at, : 2 * size]
            torch.mul(d_n, r, out=d_hidden[at, 2 * size :])
            torch.addmm(dh * z, d_hidden[at], weight, out=dh)
        return d_inputs, d_h, d_hidden.t() @ before_h, d_hidden.sum(0), None


def _fused(
    products: Tensor, h: Tensor, c: None, weight_hh: Tensor, bias_hh: Tensor, slices: Slices
) -> tuple[Tensor, Tensor, None]:
    h = h.to(products.dtype)
    outputs, h = _Sequence.apply(products, h, weight_hh, bias_hh, slices)  # pyright: ignore
    return outputs, h, None


def _packed_step(from_x: Tensor, from_h: Tensor, h: Tensor, c: None) -> tuple[Tensor, None]:
    size = h.shape[-1]
    r, z = (from_x[..., : 2 * size] + from_h[..., : 2 * size]).sigmoid_().split(size, -1)
    n = tanh_(torch.addcmul(from_x[..., 2 * size :], r, from_h[..., 2 * size :]))
    return torch.lerp(n, h.to(n.dtype), z), None


_GATES = {"reset": 0, "update": 1}
CELL = CellSpec(
    name="gru",
    equations=gru,
    blocks=3,
    gates=_GATES,
    forms={"before": CellSpec(name="gru", equations=gru_before, blocks=3, gates=_GATES)},
    fused=_fused,
    kernel=TorchKernel(nn.GRU, torch.gru),
    packed=PackedForm(_packed_step),
)
