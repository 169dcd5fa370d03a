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

from penstock.nn.cells.activation import sigmoid_backward, tanh_
from penstock.nn.cells.cell_spec import CellSpec, PackedForm, Slices, TorchKernel, V
from penstock.nn.cells.packed_steps import PackedSteps


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
        steps = PackedSteps(slices, len(products))
        gates, hidden = torch.empty_like(products), torch.empty_like(products)  # (N, 3H)
        outputs = products.new_zeros(products.shape[0], size)
        h, from_h = steps.views(outputs), steps.views(hidden)
        x_both, h_both, both = map(
            steps.views, (a[:, : 2 * size] for a in (products, hidden, gates))
        )
        x_n, h_n = (steps.views(a[:, 2 * size :]) for a in (products, hidden))
        r, z, n = map(steps.views, gates.split(size, 1))
        before_h: list[Tensor] = []
        weight_t = weight.t()
        for t in range(len(slices)):
            before_h.append(steps.before(t, h, h0))
            torch.addmm(bias, before_h[t], weight_t, out=from_h[t])
            torch.add(x_both[t], h_both[t], out=both[t]).sigmoid_()
            torch.addcmul(x_n[t], r[t], h_n[t], out=n[t]).tanh_()
            torch.lerp(n[t], before_h[t], z[t], out=h[t])  # (1 - z) n + z h
        ctx.save_for_backward(gates, steps.join(before_h), hidden, weight)
        ctx.steps = steps
        return outputs, steps.last(h)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor, d_h: Tensor):  # type: ignore[override]
        gates, before_h, hidden, weight = ctx.saved_tensors
        steps: PackedSteps = ctx.steps
        size = weight.shape[1]
        r, z, n = gates.split(size, 1)
        # all derivatives are by h: what does not depend on later steps, for all positions at once
        d_hidden = torch.empty_like(gates)
        d_r, d_z, d_hn = d_hidden.split(size, 1)
        d_n = torch.ops.aten.tanh_backward(1 - z, n)
        sigmoid_backward(before_h - n, z, grad_input=d_z)
        sigmoid_backward(d_n * hidden[:, 2 * size :], r, grad_input=d_r)
        torch.mul(d_n, r, out=d_hn)
        d_hidden[steps.count :], d_n[steps.count :] = 0, 0
        blocks = steps.views(d_hidden.unflatten(1, (3, size)))
        d_gate, d_candidate, d_output, z = map(steps.views, (d_hidden, d_n, d_out, z))
        d_h = d_h.clone()
        for t in range(len(z) - 1, -1, -1):
            dh = d_h[: steps.rows[t]].add_(d_output[t])
            blocks[t].mul_(dh[:, None])
            d_candidate[t].mul_(dh)
            torch.addmm(dh * z[t], d_gate[t], weight, out=dh)
        d_inputs = torch.cat([d_hidden[:, : 2 * size], d_n], 1)
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
