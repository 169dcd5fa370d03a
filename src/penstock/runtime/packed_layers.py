"""One recurrent layer prepacked for inference: few products, no graph, rows alike in any batch.

The same functions as the cells' equations (`penstock.nn.cells`). A step of all gates is one
product of the input beside the state, where the cell allows it; a run over a sequence makes the
input's products at once, and both directions' steps together.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from penstock.nn.cells import Cell, PackedForm
from penstock.nn.products import PackedLinear, batch_invariant_rows
from penstock.nn.recurrent import Recurrent
from penstock.nn.state import State


def packed_form(cell: Cell) -> PackedForm | None:
    """How the cell steps over prepacked weights; None: by its equations alone."""
    return cell.spec.packed if isinstance(cell.norm_ih, torch.nn.Identity) else None


class PackedStep:
    """A cell that is stepped one position at a time.

    Args:
        cell: its weights are copied.
        dtype: the type in which products are made; gates are computed in float32 at least.
    """

    def __init__(self, cell: Cell, dtype: torch.dtype) -> None:
        self.cell, self.dtype = cell, dtype
        self._form = packed_form(cell)
        if self._form is None:
            return
        self._joined = cell.spec.joined
        weight_ih, bias_ih, weight_hh, bias_hh = _weights(cell, self._form, dtype)
        self._of_state = None
        if weight_hh is not None and self._joined:
            weight_ih = torch.cat([weight_ih, weight_hh], 1)
        elif weight_hh is not None:
            self._of_state = PackedLinear(weight_hh, bias_hh)
        self._of_input = PackedLinear(weight_ih, bias_ih)

    def __call__(self, inputs: Sequence[Tensor], before: State) -> State:
        """One step: inputs, joined (N, I), and the state before, to the state after (1, N, H).

        A packed cell's h is kept as products take it, in their type.
        """
        if self._form is None:
            return self.cell(torch.cat(list(inputs), 1), before)
        h, c = before.h[0], None if before.c is None else before.c[0]
        parts = [part.to(self.dtype) for part in ((*inputs, h) if self._joined else inputs)]
        wide = torch.promote_types(self.dtype, torch.float32)
        x = torch.cat(parts, 1) if len(parts) > 1 else parts[0]
        from_x = _with_input(self.cell, self._of_input(x), x).to(wide)
        from_h = None if self._of_state is None else self._of_state(h.to(self.dtype)).to(wide)
        h, c = self._form.step(from_x, from_h, h, c)
        return State(h.to(self.dtype)[None], None if c is None else c[None])


class PackedRun:
    """One layer, in one direction or both, run over whole sequences.

    Args:
        cells: one, or forward and backward.
        form: how they step.
        dtype: the type in which products are made.
    """

    def __init__(self, cells: Sequence[Cell], form: PackedForm, dtype: torch.dtype) -> None:
        self.dtype, self._form, self._cell, self._spec = dtype, form, cells[0], cells[0].spec
        self.size = cells[0].hidden_size
        weights = [_weights(cell, form, dtype) for cell in cells]
        self._of_inputs = [PackedLinear(weight, bias) for weight, bias, _, _ in weights]
        self._of_states = [PackedLinear(w, bias) for _, _, w, bias in weights if w is not None]

    def __call__(
        self, x: Tensor, alive: Sequence[int], turned: Tensor
    ) -> tuple[Tensor, list[State]]:
        """Run.

        Args:
            x: inputs (S, B, I), rows by falling length, B a multiple of four.
            alive: for each position how many rows reach it.
            turned: (S, B) the positions of each row from its last to its first.

        Returns:
            Outputs (S, B, D·H), zero at padding; for each direction the state (1, B, H) after
            each row's last token.
        """
        steps, batch, _ = x.shape
        directions = len(self._of_inputs)
        wide = torch.promote_types(x.dtype, torch.float32)
        sides = [side.to(self.dtype) for side in (x, _turn(x, turned))[:directions]]
        gates = torch.stack(
            [
                _with_input(self._cell, product(side.flatten(0, 1)).view(steps, batch, -1), side)
                for product, side in zip(self._of_inputs, sides, strict=True)
            ]
        )  # (D, S, B, G·H)
        h = x.new_zeros(directions, batch, self.size, dtype=wide)
        c = torch.zeros_like(h) if self._spec.has_cell else None
        outputs = x.new_zeros(directions, steps, batch, self.size, dtype=wide)
        for t, rows in enumerate(alive):
            n = batch_invariant_rows(rows)
            before = None if c is None else c[:, :n]
            after, cell = self._step(gates[:, t, :n], h[:, :n], before)
            outputs[:, t, :rows] = h[:, :rows] = after[:, :rows]
            if c is not None and cell is not None:
                c[:, :rows] = cell[:, :rows]
        if directions == 2:
            outputs[1] = _turn(outputs[1], turned)
        states = [State(h[d, None], None if c is None else c[d, None]) for d in range(directions)]
        return torch.cat(list(outputs), -1).to(x.dtype), states

    def _step(self, from_x: Tensor, h: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Both directions' rows (D, N, ·) one position on."""
        if not self._of_states:
            return self._form.step(from_x.to(h.dtype), None, h, c)
        before = h.to(self.dtype)
        products = torch.empty_like(from_x, dtype=h.dtype)
        joined = self._spec.joined
        for side, of_state in enumerate(self._of_states):
            x = before[side]
            products[side] = of_state.plus(x, from_x[side]) if joined else of_state(x)
        if joined:
            return self._form.step(products, None, h, c)
        return self._form.step(from_x.to(h.dtype), products, h, c)


def packed_layers(recurrent: Recurrent, dtype: torch.dtype) -> list[PackedRun] | None:
    """The layers of a stack; None where only the equations compute them."""
    cells, directions = recurrent.list_cells(), recurrent.directions
    form = packed_form(cells[0])
    if form is None:
        return None
    return [
        PackedRun(cells[first : first + directions], form, dtype)
        for first in range(0, len(cells), directions)
    ]


def _weights(
    cell: Cell, form: PackedForm, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """W_ih, b_ih, W_hh, b_hh as products take them; joined products have one bias."""
    weight_ih, bias_ih = form.arrange(cell.weight_ih), form.arrange(cell.bias_ih)
    if cell.weight_hh is None or cell.bias_hh is None:
        return weight_ih.to(dtype), bias_ih.to(dtype), None, None
    weight_hh, bias_hh = form.arrange(cell.weight_hh).to(dtype), form.arrange(cell.bias_hh)
    if cell.spec.joined:
        return weight_ih.to(dtype), (bias_ih + bias_hh).to(dtype), weight_hh, None
    return weight_ih.to(dtype), bias_ih.to(dtype), weight_hh, bias_hh.to(dtype)


def _with_input(cell: Cell, products: Tensor, x: Tensor) -> Tensor:
    """Products (…, G·H), and behind them the input of a highway."""
    return torch.cat([products, x], -1) if cell.passes_input else products


def _turn(x: Tensor, turned: Tensor) -> Tensor:
    """x (S, B, ·) with each row's positions from last to first; padding stays where it is."""
    return x.gather(0, turned[:, :, None].expand_as(x))
