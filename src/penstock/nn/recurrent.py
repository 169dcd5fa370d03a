"""One recurrent network for every cell: deep, bidirectional, residual.

Two backends compute the same function: `reference` steps through `Cell`, the equations; `fused`
runs the cell's own kernels on a CPU and torch's (cuDNN) on a GPU. Padding is never read: rows have
lengths, and the backward direction starts at each row's last token.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from penstock.config import ModelConfig, check_cell
from penstock.nn.cells import Cell
from penstock.nn.dropout import Dropout
from penstock.nn.fixed_shapes import has_fixed_shapes
from penstock.nn.padded_layer import padding_of, run_padded
from penstock.nn.products import pad_rows
from penstock.nn.state import State


class Recurrent(nn.Module):
    """A stack of recurrent layers over a batch of sequences.

    Args:
        input_size: width I of the input.
        hidden_size: width H of each direction's state.
        cell: its name in `penstock.config.CELLS`.
        num_layers: depth L.
        bidirectional: run each layer in both directions, D = 2.
        residual: add a layer's input to its output where the widths agree.
        dropout: between layers, in training.
        variational_dropout: one dropout mask per sequence.
        weight_dropout: of the recurrent weights, in training, one mask per call (DropConnect;
            Merity et al. 2018, https://arxiv.org/abs/1708.02182).
        layer_norm: inside the cells; reference backend only.
        gru_form: see `penstock.nn.cells.gru`; `before` on the reference backend only.
        backend: `fused` or `reference`; equal results.

    Raises:
        ValueError: unknown cell, or an option that it does not support.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        cell: str = "gru",
        num_layers: int = 1,
        bidirectional: bool = False,
        residual: bool = False,
        dropout: float = 0.0,
        variational_dropout: bool = False,
        weight_dropout: float = 0.0,
        layer_norm: bool = False,
        gru_form: Literal["after", "before"] = "after",
        backend: Literal["fused", "reference"] = "fused",
    ) -> None:
        super().__init__()
        check_cell(
            cell,
            gru_form=gru_form,
            layer_norm=layer_norm,
            weight_dropout=weight_dropout,
            backend=backend,
        )
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.directions = 2 if bidirectional else 1
        self.output_size = self.directions * hidden_size
        self.residual = residual
        self.backend = backend
        self.dropout = Dropout(dropout, variational=variational_dropout)
        self.weight_dropout = weight_dropout
        self.cells = nn.ModuleList(
            Cell(
                cell,
                input_size if layer == 0 else self.output_size,
                hidden_size,
                gru_form=gru_form,
                layer_norm=layer_norm,
            )
            for layer in range(num_layers)
            for _ in range(self.directions)
        )

    @classmethod
    def from_config(
        cls,
        config: ModelConfig,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int,
        bidirectional: bool = False,
    ) -> Self:
        """A stack of the configured cell, with the configured options."""
        return cls(
            input_size,
            hidden_size,
            cell=config.cell,
            num_layers=num_layers,
            bidirectional=bidirectional,
            residual=config.residual,
            dropout=config.dropout,
            variational_dropout=config.variational_dropout,
            weight_dropout=config.weight_dropout,
            layer_norm=config.layer_norm,
            gru_form=config.gru_form,
            backend=config.backend,
        )

    def list_cells(self) -> list[Cell]:
        """All cells, layer by layer, forward before backward."""
        return [cell for cell in self.cells if isinstance(cell, Cell)]

    def forward(
        self, inputs: Tensor, lengths: Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        """Run over whole sequences.

        Args:
            inputs: (B, S, I).
            lengths: (B,) valid lengths ≥ 1; None when every row is full.
            state: (L·D, B, H) before the first token; zeros when None.

        Returns:
            Outputs (B, S, D·H), zero at padding; the state after each row's last token,
            (L·D, B, H), layer by layer, forward before backward.
        """
        finals: list[State] = []
        packing = lengths if has_fixed_shapes(inputs) else self._packing(inputs, lengths)
        for layer in range(self.num_layers):
            x = inputs if layer == 0 else self.dropout(inputs)
            outputs: list[Tensor] = []
            for direction in range(self.directions):
                index = layer * self.directions + direction
                cell = self.cells[index]
                assert isinstance(cell, Cell)
                before = cell.zero_state(x.shape[0], x) if state is None else state.layer(index)
                run = _run_reference if self.backend == "reference" else _run_fused
                weight_hh = self._dropped_weight(cell)
                output, final = run(cell, weight_hh, x, packing, before, reverse=direction == 1)
                outputs.append(output)
                finals.append(final)
            joined = torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0]
            if self.residual and joined.shape == x.shape:
                joined = joined + (x if packing is None else _without_padding(x, packing))
            inputs = joined
        return inputs, State.stack(finals)

    def _dropped_weight(self, cell: Cell) -> Tensor | None:
        """The recurrent matrix, with weight dropout in training."""
        if cell.weight_hh is None or not self.training or not self.weight_dropout:
            return cell.weight_hh
        return dropout(cell.weight_hh, self.weight_dropout)

    @staticmethod
    def _packing(inputs: Tensor, lengths: Tensor | None) -> Tensor | None:
        """The lengths, or None when every row is full."""
        return None if lengths is None or bool((lengths == inputs.shape[1]).all()) else lengths


def _without_padding(x: Tensor, lengths: Tensor) -> Tensor:
    """x (B, S, ·) with zeros after each row's length."""
    return x.masked_fill(padding_of(x, lengths)[:, :, None], 0)


def _run_reference(
    cell: Cell,
    weight_hh: Tensor | None,
    x: Tensor,
    lengths: Tensor | None,
    state: State,
    *,
    reverse: bool,
) -> tuple[Tensor, State]:
    """Run step by step; a finished row keeps its state."""
    steps = range(x.shape[1])
    outputs: list[Tensor] = [x] * x.shape[1]
    for t in reversed(steps) if reverse else steps:
        after = cell(x[:, t], state, weight_hh=weight_hh)
        if lengths is None:
            state, outputs[t] = after, after.h[0]
            continue
        alive = (t < lengths).to(x.device)[:, None]  # (B, 1)
        c = None if after.c is None or state.c is None else torch.where(alive, after.c, state.c)
        outputs[t] = after.h[0] * alive
        state = State(torch.where(alive, after.h, state.h), c)
    return torch.stack(outputs, 1), state


def _run_fused(
    cell: Cell,
    weight_hh: Tensor | None,
    x: Tensor,
    lengths: Tensor | None,
    state: State,
    *,
    reverse: bool,
) -> tuple[Tensor, State]:
    """Run all positions at once; on a GPU over padded rows."""
    if has_fixed_shapes(x):
        return run_padded(cell, weight_hh, x, lengths, state, reverse=reverse)
    batch, steps, _ = x.shape
    if lengths is None:
        packed = PackedSequence(
            x.transpose(0, 1).reshape(batch * steps, -1), torch.full((steps,), batch)
        )
    else:
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        assert packed.sorted_indices is not None
        state = state.select(packed.sorted_indices)
    data, final = _own_kernels(cell, weight_hh, packed, state, reverse=reverse)
    if lengths is None:
        return data.view(steps, batch, -1).transpose(0, 1), final
    assert packed.unsorted_indices is not None
    outputs = packed._replace(data=data)
    padded, _ = pad_packed_sequence(outputs, batch_first=True, total_length=steps)
    return padded, final.select(packed.unsorted_indices)


def _own_kernels(
    cell: Cell, weight_hh: Tensor | None, packed: PackedSequence, state: State, *, reverse: bool
) -> tuple[Tensor, State]:
    assert cell.spec.fused is not None
    count = packed.data.shape[0]
    bias, bias_hh = cell.bias_ih, cell.bias_hh
    if cell.spec.joined and bias_hh is not None:
        bias, bias_hh = bias + bias_hh, None
    # (N, G·H) with N rounded up, in bf16 under autocast
    products = cell.input_products(pad_rows(packed.data), bias)
    dtype = products.dtype
    data, h, c = cell.spec.fused(
        products,
        state.h[0],
        None if state.c is None else state.c[0],
        None if weight_hh is None else weight_hh.to(dtype),
        None if bias_hh is None else bias_hh.to(dtype),
        _slices(packed.batch_sizes.tolist(), reverse=reverse),
    )
    return data[:count], State(h[None], None if c is None else c[None])


def _slices(sizes: list[int], *, reverse: bool) -> list[tuple[int, int]]:
    """(first packed position, rows alive) of each step, in the order of the steps."""
    starts = accumulate(sizes, initial=0)
    slices = list(zip(starts, sizes, strict=False))
    return slices[::-1] if reverse else slices
