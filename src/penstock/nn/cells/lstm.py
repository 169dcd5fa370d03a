"""Long short-term memory with forget gates.

Hochreiter and Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735; Gers et al. 2000,
https://doi.org/10.1162/089976600300015015. Gate order i, f, g, o, as in torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from penstock.nn.cells.activation import sigmoid_backward, tanh_, tanh_backward
from penstock.nn.cells.cell_spec import CellSpec, PackedForm, Slices, TorchKernel, V


def lstm(x: V, h: V, c: V, from_state: Callable[[V], V]) -> dict[str, V]:
    """One step; `x` and `from_state(h)` are products with their biases."""
    i, f, g, o = (x + from_state(h)).chunk(4, -1)
    i, f, o = i.sigmoid(), f.sigmoid(), o.sigmoid()
    g = g.tanh()  # candidate cell
    c = f * c + i * g
    h = o * c.tanh()
    return {"input": i, "forget": f, "output": o, "candidate": g, "cell": c, "hidden": h}


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, products: Tensor, h0: Tensor, c0: Tensor, weight: Tensor, slices: Slices
    ) -> tuple[Tensor, Tensor, Tensor]:
        size = weight.shape[1]
        gates = torch.empty_like(products)  # (N, 4H) after their non-linearities
        outputs = products.new_zeros(products.shape[0], size)
        before_h, before_c = torch.zeros_like(outputs), torch.empty_like(outputs)
        tanh_c = torch.empty_like(outputs)
        h, c = h0.clone(), c0.clone()
        weight_t = weight.t()
        for start, n in slices:
            at = slice(start, start + n)
            before_h[at], before_c[at] = h[:n], c[:n]
            gate = torch.addmm(products[at], h[:n], weight_t, out=gates[at])
            gate[:, : 2 * size].sigmoid_()
            gate[:, 2 * size : 3 * size].tanh_()
            gate[:, 3 * size :].sigmoid_()
            i, f, g, o = gate.split(size, 1)
            c[:n].mul_(f).addcmul_(i, g)
            torch.tanh(c[:n], out=tanh_c[at])
            h[:n] = torch.mul(o, tanh_c[at], out=outputs[at])
        ctx.save_for_backward(gates, before_h, before_c, tanh_c, weight)
        ctx.slices = slices
        return outputs, h, c

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor, d_h: Tensor, d_c: Tensor):  # type: ignore[override]
        gates, before_h, before_c, tanh_c, weight = ctx.saved_tensors
        size = weight.shape[1]
        d_gates = torch.zeros_like(gates)
        d_h, d_c = d_h.clone(), d_c.clone()
        for start, n in reversed(ctx.slices):
            at = slice(start, start + n)
            i, f, g, o = gates[at].split(size, 1)
            d_i, d_f, d_g, d_o = d_gates[at].split(size, 1)
            dh = d_h[:n].add_(d_out[at])
            dc = d_c[:n].add_(torch.ops.aten.tanh_backward(dh * o, tanh_c[at]))
            sigmoid_backward(dh * tanh_c[at], o, grad_input=d_o)
            sigmoid_backward(dc * g, i, grad_input=d_i)
            sigmoid_backward(dc * before_c[at], f, grad_input=d_f)
            tanh_backward(dc * i, g, grad_input=d_g)
            torch.mm(d_gates[at], weight, out=dh)
            dc.mul_(f)
        return d_gates, d_h, d_c, d_gates.t() @ before_h, None


def _fused(
    products: Tensor, h: Tensor, c: Tensor, weight_hh: Tensor, bias_hh: Tensor, slices: Slices
) -> tuple[Tensor, Tensor, Tensor]:
    h, c = h.to(products.dtype), c.to(products.dtype)
    return _Sequence.apply(products + bias_hh, h, c, weight_hh, slices)  # pyright: ignore


def _arrange(x: Tensor) -> Tensor:
    """Gates as i, f, o and twice g, for one logistic function.

    As tanh x = 2 σ(2x) - 1, and doubling is exact.
    """
    i, f, g, o = x.detach().chunk(4)
    return torch.cat([i, f, o, 2 * g])


def _packed_step(gates: Tensor, _: None, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    i, f, o, g = gates.sigmoid_().chunk(4, -1)  # the candidate is 2g - 1
    c = torch.addcmul((f * c).sub_(i), i, g, value=2)
    return o * tanh_(c.clone()), c


CELL = CellSpec(
    name="lstm",
    equations=lstm,
    blocks=4,
    gates={"input": 0, "forget": 1, "output": 3},
    carries=("h", "c"),
    joined=True,
    memory_gate="forget",
    fused=_fused,
    kernel=TorchKernel(nn.LSTM, torch.lstm),
    packed=PackedForm(_packed_step, _arrange),
)
