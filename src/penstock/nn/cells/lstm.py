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
from penstock.nn.cells.packed_steps import PackedSteps


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
        steps = PackedSteps(slices, len(products))
        gates = torch.empty_like(products)  # (N, 4H) after their non-linearities
        outputs = products.new_zeros(products.shape[0], size)
        tanh_c = torch.empty_like(outputs)
        x, gate, both = map(steps.views, (products, gates, gates[:, : 2 * size]))
        i, f, g, o = map(steps.views, gates.split(size, 1))
        h, c, squashed = map(steps.views, (outputs, torch.empty_like(outputs), tanh_c))
        before_h: list[Tensor] = []
        before_c: list[Tensor] = []
        weight_t = weight.t()
        for t in range(len(slices)):
            before_h.append(steps.before(t, h, h0))
            before_c.append(steps.before(t, c, c0))
            torch.addmm(x[t], before_h[t], weight_t, out=gate[t])
            both[t].sigmoid_()
            g[t].tanh_()
            o[t].sigmoid_()
            torch.mul(f[t], before_c[t], out=c[t]).addcmul_(i[t], g[t])
            torch.mul(o[t], torch.tanh(c[t], out=squashed[t]), out=h[t])
        ctx.save_for_backward(gates, steps.join(before_h), steps.join(before_c), tanh_c, weight)
        ctx.steps = steps
        return outputs, steps.last(h), steps.last(c)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor, d_h: Tensor, d_c: Tensor):  # type: ignore[override]
        gates, before_h, before_c, tanh_c, weight = ctx.saved_tensors
        steps: PackedSteps = ctx.steps
        size = weight.shape[1]
        i, f, g, o = gates.split(size, 1)
        # what does not depend on later steps, for all positions at once
        d_gates = torch.empty_like(gates)
        d_i, d_f, d_g, d_o = d_gates.split(size, 1)
        sigmoid_backward(g, i, grad_input=d_i)
        sigmoid_backward(before_c, f, grad_input=d_f)
        tanh_backward(i, g, grad_input=d_g)
        sigmoid_backward(tanh_c, o, grad_input=d_o)
        c_by_h = torch.ops.aten.tanh_backward(o, tanh_c)
        d_gates[steps.count :] = 0
        by_c = steps.views(d_gates[:, : 3 * size].unflatten(1, (3, size)))
        by_h, d_gate, d_output = map(steps.views, (d_o, d_gates, d_out))
        f, c_by_h = map(steps.views, (f, c_by_h))
        d_h, d_c = d_h.clone(), d_c.clone()
        for t in range(len(f) - 1, -1, -1):
            dh = d_h[: steps.rows[t]].add_(d_output[t])
            dc = d_c[: steps.rows[t]].addcmul_(dh, c_by_h[t])
            by_c[t].mul_(dc[:, None])
            by_h[t].mul_(dh)
            torch.mm(d_gate[t], weight, out=dh)
            dc.mul_(f[t])
        return d_gates, d_h, d_c, d_gates.t() @ before_h, None


def _fused(
    products: Tensor, h: Tensor, c: Tensor, weight_hh: Tensor, bias_hh: None, slices: Slices
) -> tuple[Tensor, Tensor, Tensor]:
    h, c = h.to(products.dtype), c.to(products.dtype)
    return _Sequence.apply(products, h, c, weight_hh, slices)  # pyright: ignore


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
