"""A whole sequence through one cell, forward and backward by hand: the fast backend on CPU.

The input's products are made once for all positions; what is left for each step is one matrix
product and the gates. The gradient is written out, so that the weight gradient too is one large
product, and no graph is built a step. On a CPU with bf16 this is faster than `torch.nn.LSTM`,
whose fast path (oneDNN) takes no lengths; `penstock bench recurrence` compares them.

Positions are packed as torch packs them (`PackedSequence`): time-major, rows sorted by length,
so that no padding is computed and the final state is exact. `sizes` are the rows alive at each
position; going backward in time, rows join as their last token comes up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from penstock.nn.cells import CellKind

_sigmoid_backward = torch.ops.aten.sigmoid_backward.default
_tanh_backward = torch.ops.aten.tanh_backward.default


def run_sequence(
    kind: CellKind,
    products: Tensor,
    h: Tensor,
    c: Tensor | None,
    weight_hh: Tensor,
    bias_hh: Tensor,
    sizes: Sequence[int],
    *,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Run one layer in one direction over packed positions.

    Args:
        kind: the cell.
        products: x·W_ih + b_ih for all N packed positions, (N, G·H); further rows are rounding
            (see `penstock.nn.products`) and give zeros.
        h: initial hidden state, (B, H), rows in packed (sorted) order.
        c: initial LSTM cell, (B, H), or None.
        weight_hh: (G·H, H).
        bias_hh: (G·H,).
        sizes: rows alive at each position, non-increasing, summing to N.
        reverse: from the last position to the first.

    Returns:
        Outputs (N, H), final h (B, H), final c (B, H) or None. `gru` is the form with the reset
        gate after the product.
    """
    slices = _slices(sizes)
    if reverse:
        slices.reverse()
    if kind == "lstm":
        assert c is not None
        outputs, h, c = _LSTM.apply(products + bias_hh, h, c, weight_hh, slices)  # pyright: ignore
        return outputs, h, c
    if kind == "gru":
        outputs, h = _GRU.apply(products, h, weight_hh, bias_hh, slices)  # pyright: ignore
        return outputs, h, None
    outputs, h = _RNN.apply(products + bias_hh, h, weight_hh, slices)  # pyright: ignore
    return outputs, h, None


def _slices(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """(first packed position, rows) of each step."""
    slices, start = [], 0
    for size in sizes:
        slices.append((start, size))
        start += size
    return slices


class _LSTM(torch.autograd.Function):
    """Gate order i, f, g, o as torch has it; the equations are those of `Cell._lstm`."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, products: Tensor, h0: Tensor, c0: Tensor, weight: Tensor, slices: list
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
            dc = d_c[:n].add_(_tanh_backward(dh * o, tanh_c[at]))
            torch.ops.aten.sigmoid_backward.grad_input(dh * tanh_c[at], o, grad_input=d_o)
            torch.ops.aten.sigmoid_backward.grad_input(dc * g, i, grad_input=d_i)
            torch.ops.aten.sigmoid_backward.grad_input(dc * before_c[at], f, grad_input=d_f)
            torch.ops.aten.tanh_backward.grad_input(dc * i, g, grad_input=d_g)
            torch.mm(d_gates[at], weight, out=dh)
            dc.mul_(f)
        return d_gates, d_h, d_c, d_gates.t() @ before_h, None


class _GRU(torch.autograd.Function):
    """Gate order r, z, n as torch has it; the reset gate acts after the product."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, products: Tensor, h0: Tensor, weight: Tensor, bias: Tensor, slices: list
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
            torch.ops.aten.tanh_backward.grad_input(dh - dh * z, candidate, grad_input=d_n)
            torch.ops.aten.sigmoid_backward.grad_input(
                dh * (before_h[at] - candidate), z, grad_input=d_z
            )
            torch.ops.aten.sigmoid_backward.grad_input(d_n * from_h[at], r, grad_input=d_r)
            d_hidden[at, : 2 * size] = d_inputs[at, : 2 * size]
            torch.mul(d_n, r, out=d_hidden[at, 2 * size :])
            torch.addmm(dh * z, d_hidden[at], weight, out=dh)
        return d_inputs, d_h, d_hidden.t() @ before_h, d_hidden.sum(0), None


class _RNN(torch.autograd.Function):
    """h = tanh(products + h W)."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, products: Tensor, h0: Tensor, weight: Tensor, slices: list
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
            torch.ops.aten.tanh_backward.grad_input(dh, outputs[at], grad_input=d_products[at])
            torch.mm(d_products[at], weight, out=dh)
        return d_products, d_h, d_products.t() @ before_h, None
