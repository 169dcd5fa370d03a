"""Conversion of recurrent stacks to `torch.nn.RNN/GRU/LSTM` and back.

The whole stack is converted: all layers, both directions, dtype, device, dropout rate, training
mode. The two then compute the same function. Options that either side lacks are rejected with the
reason.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from penstock.config import CELLS
from penstock.nn.cells import Cell, cell_spec
from penstock.nn.cells.gru import gru_before
from penstock.nn.recurrent import Recurrent

TorchRecurrent = nn.RNN | nn.GRU | nn.LSTM
_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def to_torch(recurrent: Recurrent) -> TorchRecurrent:
    """Convert to a torch module with copies of the weights.

    The module is batch first. For variable lengths, use `pack_padded_sequence`.

    Raises:
        ValueError: torch's modules cannot compute what this network computes.
    """
    cell = _first_cell(recurrent)
    _require_torch_equivalent(recurrent, cell)
    assert cell.spec.kernel is not None
    module = cell.spec.kernel.module(
        cell.input_size,
        cell.hidden_size,
        num_layers=recurrent.num_layers,
        # with one layer torch warns that the rate has no effect
        dropout=recurrent.dropout.p if recurrent.num_layers > 1 else 0.0,
        bidirectional=recurrent.directions == 2,
        batch_first=True,
        device=cell.weight_ih.device,
        dtype=cell.weight_ih.dtype,
    )
    _copy_weights(recurrent, module, to_module=True)
    return module.train(recurrent.training)


def from_torch(
    module: TorchRecurrent, *, backend: Literal["fused", "reference"] = "fused"
) -> Recurrent:
    """Convert from a torch module, with copies of the weights.

    Ours is batch first, whatever the module's `batch_first`.

    Raises:
        ValueError: our cells cannot compute what this module computes.
    """
    name = _cell_name(module)
    _require_supported_module(module)
    recurrent = Recurrent(
        module.input_size,
        module.hidden_size,
        cell=name,
        num_layers=module.num_layers,
        bidirectional=module.bidirectional,
        dropout=module.dropout,
        backend=backend,
    ).to(module.get_parameter("weight_ih_l0"))
    _copy_weights(recurrent, module, to_module=False)
    return recurrent.train(module.training)


def _require_torch_equivalent(recurrent: Recurrent, cell: Cell) -> None:
    if recurrent.residual:
        raise ValueError(
            "residual = True: torch's modules do not add a layer's input to its output; exchange a "
            "network without residual connections"
        )
    if isinstance(cell.norm_ih, nn.LayerNorm):
        raise ValueError(
            "layer_norm = True: torch's modules have no normalisation inside the cell; exchange a "
            "network without it"
        )
    if cell.spec.equations is gru_before:
        raise ValueError(
            "gru_form = 'before': torch's GRU applies the reset gate after the product, "
            "R⊙(HW + b), so the same weights would be another function; exchange a GRU of the form "
            "'after'"
        )
    if cell.spec.kernel is None:
        raise ValueError(f"cell {cell.spec.name!r}: torch has no such module")
    if recurrent.weight_dropout:
        raise ValueError(
            f"weight_dropout = {recurrent.weight_dropout}: torch's modules do not drop recurrent "
            "weights; set it to 0 before the exchange"
        )
    if recurrent.dropout.variational and recurrent.dropout.p > 0 and recurrent.num_layers > 1:
        raise ValueError(
            f"variational dropout of {recurrent.dropout.p}: torch's modules draw a new mask at "
            "every position; set the rate to 0 before the exchange"
        )


def _require_supported_module(module: TorchRecurrent) -> None:
    if isinstance(module, nn.RNN) and module.nonlinearity != "tanh":
        raise ValueError(
            f"nonlinearity = {module.nonlinearity!r}: our RNN cell is Elman's, with tanh; exchange "
            "a module with nonlinearity = 'tanh'"
        )
    if not module.bias:
        raise ValueError(
            "bias = False: our cells have biases, and training would move them from zero; exchange "
            "a module with bias = True, its biases zero"
        )
    if module.proj_size:
        raise ValueError(
            f"proj_size = {module.proj_size}: our LSTM does not project its hidden state, which "
            "has the cell's width; exchange a module with proj_size = 0"
        )


def _cell_name(module: nn.Module) -> str:
    for name in CELLS:
        kernel = cell_spec(name).kernel
        if kernel is not None and isinstance(module, kernel.module):
            return name
    raise ValueError(
        f"{type(module).__name__}: expected torch.nn.RNN, torch.nn.GRU or torch.nn.LSTM"
    )


def _first_cell(recurrent: Recurrent) -> Cell:
    cell = recurrent.cells[0]
    assert isinstance(cell, Cell)
    return cell


@torch.no_grad()
def _copy_weights(recurrent: Recurrent, module: TorchRecurrent, *, to_module: bool) -> None:
    """Copy cell by cell; torch's names are weight_ih_l0, weight_ih_l0_reverse, weight_ih_l1, …"""
    for index, cell in enumerate(recurrent.cells):
        layer, direction = divmod(index, recurrent.directions)
        for name in _NAMES:
            ours = cell.get_parameter(name)
            theirs = module.get_parameter(f"{name}_l{layer}{'_reverse' if direction else ''}")
            target, source = (theirs, ours) if to_module else (ours, theirs)
            target.copy_(source).requires_grad_(source.requires_grad)
