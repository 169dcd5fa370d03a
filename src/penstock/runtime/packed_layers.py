"""One recurrent layer laid out for use: products joined, no graph, rows alike in any batch.

The same functions as `penstock.nn.cells`. A step of all gates is one product of the input beside
the state; a run over a sequence makes the input's products at once, and both directions' steps
together.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from penstock.nn.cells import Cell
from penstock.nn.products import FixedLinear, alike_rows
from penstock.nn.state import State


class FrozenStep:
    """A cell that is stepped one position at a time.

    Args:
        cell: its weights are copied.
        kind: the type in which products are made; gates are computed in float32 at least.
    """

    def __init__(self, cell: Cell, kind: torch.dtype) -> None:
        self.cell, self.kind = cell, kind
        self.size = cell.hidden_size
        weight_ih, weight_hh, bias_ih, bias_hh = _ordered(cell)
        self.is_plain = is_plain(cell)
        if not self.is_plain:
            return
        if cell.kind == "gru":  # the candidate's two products are kept apart
            self._products = [
                FixedLinear(weight_ih.to(kind), bias_ih.to(kind)),
                FixedLinear(weight_hh.to(kind), bias_hh.to(kind)),
            ]
        else:
            joined = torch.cat([weight_ih, weight_hh], 1)
            self._products = [FixedLinear(joined.to(kind), (bias_ih + bias_hh).to(kind))]

    def __call__(self, inputs: Sequence[Tensor], before: State) -> State:
        """One step: inputs, joined (N, I), and the state before, to the state after (1, N, H).

        A plain cell's h is kept as products take it, in their type.
        """
        if not self.is_plain:
            return self.cell(torch.cat(list(inputs), 1), before)
        h = before.h[0]
        wide = torch.promote_types(self.kind, torch.float32)
        if self.cell.kind == "gru":
            x = inputs[0] if len(inputs) == 1 else torch.cat(list(inputs), 1)
            from_x = self._products[0](x.to(self.kind)).to(wide)
            from_h = self._products[1](h.to(self.kind)).to(wide)
            return State(_gru(from_x, from_h, h).to(self.kind)[None])
        joined = torch.cat([part.to(self.kind) for part in (*inputs, h)], 1)
        gates = self._products[0](joined).to(wide)
        if self.cell.kind == "rnn":
            return State(_tanh_(gates).to(self.kind)[None])
        assert before.c is not None
        h, c = _lstm(gates, before.c[0])
        return State(h.to(self.kind)[None], c[None])


class FrozenRun:
    """One layer, in one direction or both, run over whole sequences.

    Args:
        cells: one, or forward and backward.
        kind: the type in which products are made.
    """

    def __init__(self, cells: Sequence[Cell], kind: torch.dtype) -> None:
        self.kind, self.cell = kind, cells[0].kind
        self.size = cells[0].hidden_size
        ordered = [_ordered(cell) for cell in cells]
        gru = self.cell == "gru"
        self._of_inputs = [
            FixedLinear(w[0].to(kind), (w[2] if gru else w[2] + w[3]).to(kind)) for w in ordered
        ]
        self._of_states = [
            FixedLinear(w[1].to(kind), w[3].to(kind) if gru else None) for w in ordered
        ]

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
        sides = [x, _turn(x, turned)][:directions]
        gates = torch.stack(
            [
                product(side.flatten(0, 1).to(self.kind)).view(steps, batch, -1)
                for product, side in zip(self._of_inputs, sides, strict=True)
            ]
        )  # (D, S, B, G·H)
        h = x.new_zeros(directions, batch, self.size, dtype=wide)
        c = torch.zeros_like(h)
        outputs = x.new_zeros(directions, steps, batch, self.size, dtype=wide)
        for t, rows in enumerate(alive):
            n = alike_rows(rows)
            after, cell = self._step(gates[:, t, :n], h[:, :n], c[:, :n])
            outputs[:, t, :rows] = h[:, :rows] = after[:, :rows]
            if cell is not None:
                c[:, :rows] = cell[:, :rows]
        if directions == 2:
            outputs[1] = _turn(outputs[1], turned)
        has_cell = self.cell == "lstm"
        states = [State(h[d, None], c[d, None] if has_cell else None) for d in range(directions)]
        return torch.cat(list(outputs), -1).to(x.dtype), states

    def _step(self, from_x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor | None]:
        """Both directions' rows (D, N, ·) one position on."""
        before = h.to(self.kind)
        gates = torch.empty_like(from_x, dtype=h.dtype)
        gru = self.cell == "gru"  # its candidate's two products are kept apart
        for side, product in enumerate(self._of_states):
            gates[side] = product(before[side]) if gru else product.plus(before[side], from_x[side])
        if gru:
            return _gru(from_x.to(h.dtype), gates, h), None
        if self.cell == "rnn":
            return _tanh_(gates), None
        return _lstm(gates, c)


def is_plain(cell: Cell) -> bool:
    """Whether the cell has the form that these layers compute."""
    normed = not isinstance(cell.norm_ih, torch.nn.Identity)
    return not normed and not (cell.kind == "gru" and cell.gru_form == "before")


def _tanh_(x: Tensor) -> Tensor:
    """tanh, in place, by the logistic function: several times as fast as torch's on a CPU."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


def _ordered(cell: Cell) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights and biases; an LSTM's gates as i, f, o and twice g, for one logistic function.

    As tanh x = 2 σ(2x) - 1, and doubling is exact.
    """
    own = (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
    if cell.kind != "lstm":
        return own
    i, f, g, o = range(4)

    def reorder(x: Tensor) -> Tensor:
        parts = x.detach().chunk(4)
        return torch.cat([parts[i], parts[f], parts[o], 2 * parts[g]])

    weight_ih, weight_hh, bias_ih, bias_hh = (reorder(x) for x in own)
    return weight_ih, weight_hh, bias_ih, bias_hh


def _lstm(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    i, f, o, g = gates.sigmoid_().chunk(4, -1)  # the candidate is 2g - 1
    c = torch.addcmul((f * c).sub_(i), i, g, value=2)
    return o * _tanh_(c.clone()), c


def _gru(from_x: Tensor, from_h: Tensor, h: Tensor) -> Tensor:
    size = h.shape[-1]
    r, z = (from_x[..., : 2 * size] + from_h[..., : 2 * size]).sigmoid_().split(size, -1)
    n = _tanh_(torch.addcmul(from_x[..., 2 * size :], r, from_h[..., 2 * size :]))
    return torch.lerp(n, h.to(n.dtype), z)


def _turn(x: Tensor, turned: Tensor) -> Tensor:
    """x (S, B, ·) with each row's positions from last to first; padding stays where it is."""
    return x.gather(0, turned[:, :, None].expand_as(x))
