"""The limit of decoding: the matrix products of a search and nothing else.

Per search step, one product per layer with as many rows as the search had; for the encoder, one per
layer over all positions. Attention's small products are left out.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from penstock.nn import Seq2Seq
from penstock.nn.cells import Cell
from penstock.nn.products import PackedLinear


class Products:
    """The matrix products of a model, on random numbers.

    Args:
        model: whose layers have the sizes.
    """

    def __init__(self, model: Seq2Seq) -> None:
        decoder = model.decoder
        stacks = [decoder.bottom, *([decoder.upper] if decoder.upper is not None else [])]
        layers = [*([decoder.readout] if decoder.readout is not None else []), decoder.output]
        self._step = [_joined(cell) for stack in stacks for cell in stack.cells]
        self._step += [(layer.in_features, layer.out_features) for layer in layers]
        self._encoder = [_joined(cell) for cell in model.encoder.recurrent.cells]
        keys = None if decoder.attention is None else decoder.attention.project_keys
        if isinstance(keys, torch.nn.Linear):
            self._encoder.append((keys.in_features, keys.out_features))
        self._packed: dict[tuple[int, int, torch.dtype], PackedLinear] = {}

    def seconds(self, source_tokens: int, rows: Sequence[int], dtype: torch.dtype) -> float:
        """Time of all products.

        Args:
            source_tokens: that the encoder reads.
            rows: of each step.
            dtype: of the numbers.
        """
        encoder = [self._operands(source_tokens, size, dtype) for size in self._encoder]
        steps = [self._operands(max(rows), size, dtype) for size in self._step]

        def make() -> None:
            for x, product in encoder:
                product(x)
            for n in rows:
                for x, product in steps:
                    product(x[:n])

        make()
        begun = time.perf_counter()
        make()
        return time.perf_counter() - begun

    def _operands(
        self, rows: int, size: tuple[int, int], dtype: torch.dtype
    ) -> tuple[Tensor, PackedLinear]:
        key = (*size, dtype)
        if key not in self._packed:
            self._packed[key] = PackedLinear(torch.randn(size[1], size[0], dtype=dtype), None)
        return torch.randn(rows, size[0], dtype=dtype), self._packed[key]


def _joined(cell: torch.nn.Module) -> tuple[int, int]:
    """The width of a cell's input and state together, and of its gates."""
    assert isinstance(cell, Cell)
    recurrent = 0 if cell.weight_hh is None else cell.hidden_size
    return cell.input_size + recurrent, len(cell.weight_ih)
