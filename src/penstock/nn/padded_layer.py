"""One recurrent layer over padded rows, in one direction: what a GPU runs.

A CPU can run it too (`penstock.nn.fixed_shapes`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from penstock.nn.cells import Cell
from penstock.nn.state import State


def run_padded(
    cell: Cell,
    weight_hh: Tensor | None,
    x: Tensor,
    lengths: Tensor | None,
    state: State,
    *,
    reverse: bool,
) -> tuple[Tensor, State]:
    """Run the kernels of `torch.nn.RNN/GRU/LSTM`, or a scan, over padded rows.

    Nothing here depends on the values of `lengths`, which stay on the device: shapes are few, the
    host never waits, and the whole can be captured as a CUDA graph. Padding comes after a row's
    tokens, also when it is reversed, so every real position is right.
    """
    order = padding = None
    if lengths is not None:
        lengths = lengths.to(x.device)
        order, padding = reversal(lengths, x.shape[1]), padding_of(x, lengths)
        x = x.masked_fill(padding[:, :, None], 0)
    if reverse:
        x = x.flip(1) if order is None else _take(x, order)
    run = _torch_kernel if cell.spec.padded is None else _padded_scan
    outputs, final = run(cell, weight_hh, x, lengths, padding, state)
    if reverse:
        outputs = outputs.flip(1) if order is None else _take(outputs, order)
    if padding is not None:
        outputs = outputs.masked_fill(padding[:, :, None], 0)
    return outputs, final


def _padded_scan(
    cell: Cell,
    weight_hh: Tensor | None,
    x: Tensor,
    lengths: Tensor | None,
    padding: Tensor | None,
    state: State,
) -> tuple[Tensor, State]:
    """A cell whose state is a scan, forward over padded rows."""
    assert cell.spec.padded is not None
    products = cell.input_products(x)
    c = None if state.c is None else state.c[0]
    outputs, states = cell.spec.padded(products, state.h[0], c)
    h, c = (None if values is None else _last(values, lengths) for values in (outputs, states))
    assert h is not None
    return outputs.to(products.dtype), State(h, c)


def _torch_kernel(
    cell: Cell,
    weight_hh: Tensor | None,
    x: Tensor,
    lengths: Tensor | None,
    padding: Tensor | None,
    state: State,
) -> tuple[Tensor, State]:
    """torch's kernel, forward over padded rows."""
    assert cell.spec.kernel is not None
    weights = [cell.weight_ih, weight_hh, cell.bias_ih, cell.bias_hh]
    if padding is not None and state.c is not None:
        x, weights[0] = _holding(cell, x, padding)  # the kernels return the last c only
    before = state.h if state.c is None else (state.h, state.c)
    outputs, h, *rest = cell.spec.kernel.function(
        x,
        before,
        weights,
        has_biases=True,
        num_layers=1,
        dropout=0.0,
        train=cell.training,
        bidirectional=False,
        batch_first=True,
    )
    if lengths is not None:
        h = _last(outputs, lengths)
    return outputs, State(h, rest[0] if rest else None)


_HOLD_WIDTH = 8  # columns, of which one is used: products on a GPU want multiples of eight
_HOLD = 1e4  # a gate's logit at which it is exactly 0 or 1


def _holding(cell: Cell, x: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs (B, S, I + 8) and their weights with a feature, 1 at padding, that keeps c there."""
    weight = cell.weight_ih
    logits = weight.new_zeros(len(weight), _HOLD_WIDTH)
    cell.block(logits, "forget")[:, 0] = _HOLD
    cell.block(logits, "input")[:, 0] = -_HOLD
    flag = x.new_zeros(*x.shape[:2], _HOLD_WIDTH)
    flag[:, :, 0] = padding
    return torch.cat([x, flag], -1), torch.cat([weight, logits], 1)


def padding_of(x: Tensor, lengths: Tensor) -> Tensor:
    """(B, S) bool, True after each row's length."""
    return torch.arange(x.shape[1], device=x.device) >= lengths.to(x.device)[:, None]


def reversal(lengths: Tensor, steps: int) -> Tensor:
    """Positions (B, S) with each row reversed within its length; its own inverse."""
    positions = torch.arange(steps, device=lengths.device)
    turned = lengths[:, None] - 1 - positions
    return torch.where(turned >= 0, turned, positions)


def _take(x: Tensor, positions: Tensor) -> Tensor:
    """x (B, S, ·) at positions (B, T) of each row."""
    return x.gather(1, positions[:, :, None].expand(-1, -1, x.shape[2]))


def _last(x: Tensor, lengths: Tensor | None) -> Tensor:
    """x (B, S, ·) at each row's last position, (1, B, ·)."""
    last = x[:, -1:] if lengths is None else _take(x, lengths[:, None] - 1)
    return last.transpose(0, 1)
