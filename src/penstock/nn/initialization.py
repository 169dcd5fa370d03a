"""Initial weights, by name."""

from __future__ import annotations

import torch
from torch import nn

from penstock.nn.cells import Cell
from penstock.nn.embedding import TokenEmbedding


def initialize(model: nn.Module, name: str) -> None:
    """Set all weights of `model` in place.

    - `uniform`: U(-0.1, 0.1), the recurrent biases zero.
    - `xavier`: Glorot's uniform for every matrix, zero biases, as the chapter's
      `xavier_init_weights`.
    - `orthogonal`: Glorot for inputs, an orthogonal matrix per gate for the recurrence.
    - `normal`: N(0, 0.01²) for every matrix, zero biases, as the chapter's cells from scratch.

    Scaled embeddings have their own initialization (see `TokenEmbedding`). `uniform` and
    `orthogonal` set the bias of a cell's memory gate, the LSTM's forget gate, to 1: keep memory
    early in training (Jozefowicz et al. 2015). The other two are the chapter's;
    docs/chapter/long-dependencies.md shows how far gradients reach with each.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            if name == "uniform":
                parameter.uniform_(-0.1, 0.1)
            elif parameter.dim() > 1 and name == "normal":
                parameter.normal_(0, 0.01)
            elif parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
            else:
                parameter.zero_()
        for module in model.modules():
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()
            elif isinstance(module, TokenEmbedding) and module.scaled:
                module.initialize_scaled()
            elif isinstance(module, Cell) and name in ("uniform", "orthogonal"):
                _prepare_cell(module, orthogonal=name == "orthogonal")


def _prepare_cell(cell: Cell, *, orthogonal: bool) -> None:
    if cell.bias_hh is not None:
        cell.bias_hh.zero_()
    if orthogonal and cell.weight_hh is not None:
        for gate in cell.weight_hh.split(cell.hidden_size):
            nn.init.orthogonal_(gate)
    if cell.spec.memory_gate is not None:
        cell.bias_ih.zero_()
        cell.block(cell.bias_ih, cell.spec.memory_gate).fill_(1)
