"""One recurrent layer laid out for use: products joined, no graph, rows alike in any batch.

The same functions as `penstock.nn.cells`. A step of all gates is one product of the input beside
the state; a run over a sequence makes the input's products at once, and both directions' steps
together.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear

from penstock.nn.cells import Cell
from penstock.nn.products import alike_rows
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
            self.weights = [weight_ih.to(kind), weight_hh.to(kind)]
            self.biases = [bias_ih.to(kind), bias_hh.to(kind)]
        else:
            self.weights = [torch.cat([weight_ih, weight_hh], 1).to(kind)]
            self.biases = [(bias_ih + bias_hh).to(kind)]

    def __call__(self, inputs: Sequence[Tensor], before: State) -> State:
        """One step: inputs, joined (N, I), and the state before, to the state after (1, N, H)."""
        if not self.is_plain:
            return self.cell(torch.cat(list(inputs), 1), before)
        h = before.h[0]
        wide = torch.promote_types(h.dtype, torch.float32)
        if self.cell.kind == "gru":
            x = inputs[0] if len(inputs) == 1 else torch.cat(list(inputs), 1)
            from_x = linear(x.to(self.kind), self.weights[0], self.biases[0]).to(wide)
            from_h = linear(h.to(self.kind), self.weights[1], self.biases[1]).to(wide)
            return State(_gru(from_x, from_h, h)[None])
        joined = torch.cat([part.to(self.kind) for part in (*inputs, h)], 1)
        gates = linear(joined, self.weights[0], self.biases[0]).to(wide)
        if self.cell.kind == "rnn":
            return State(gates.tanh_()[None])
        assert before.c is not None
        h, c = _lstm(gates, before.c[0])
        return State(h[None], c[None])


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
        self.weights_ih = [weights[0].to(kind) for weights in ordered]
        self.biases_ih = [(w[2] if gru else w[2] + w[3]).to(kind) for w in ordered]
        self.weights_hh = torch.stack([weights[1].t() for weights in ordered]).to(kind)
        self.biases_hh = torch.stack([weights[3][None] for weights in ordered]).to(kind)

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
        directions = len(self.weights_ih)
        wide = torch.promote_types(x.dtype, torch.float32)
        sides = [x, _turn(x, turned)][:directions]
        gates = torch.stack(
            [
                linear(side.flatten(0, 1).to(self.kind), weight, bias).view(steps, batch, -1)
                for side, weight, bias in zip(sides, self.weights_ih, self.biases_ih, strict=True)
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
        if self.cell == "gru":
            from_h = torch.baddbmm(self.biases_hh, h.to(self.kind), self.weights_hh)
            return _gru(from_x.to(h.dtype), from_h.to(h.dtype), h), None
        gates = torch.baddbmm(from_x, h.to(self.kind), self.weights_hh).to(h.dtype)
        if self.cell == "rnn":
            return gates.tanh_(), None
        return _lstm(gates, c)


def is_plain(cell: Cell) -> bool:
    """Whether the cell has the form that these layers compute."""
    normed = not isinstance(cell.norm_ih, torch.nn.Identity)
    return not normed and not (cell.kind == "gru" and cell.gru_form == "before")


def _ordered(cell: Cell) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights and biases; an LSTM's gates as i, f, o, g, so that three share a non-linearity."""
    own = (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
    if cell.kind != "lstm":
        return own
    i, f, g, o = range(4)

    def reorder(x: Tensor) -> Tensor:
        parts = x.detach().chunk(4)
        return torch.cat([parts[gate] for gate in (i, f, o, g)])

    weight_ih, weight_hh, bias_ih, bias_hh = (reorder(x) for x in own)
    return weight_ih, weight_hh, bias_ih, bias_hh


def _lstm(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    size = c.shape[-1]
    i, f, o = gates[..., : 3 * size].sigmoid_().split(size, -1)
    g = gates[..., 3 * size :].tanh_()
    c = torch.addcmul(f * c, i, g)
    return o * torch.tanh(c), c


def _gru(from_x: Tensor, from_h: Tensor, h: Tensor) -> Tensor:
    size = h.shape[-1]
    r, z = (from_x[..., : 2 * size] + from_h[..., : 2 * size]).sigmoid_().split(size, -1)
    n = torch.addcmul(from_x[..., 2 * size :], r, from_h[..., 2 * size :]).tanh_()
    return torch.lerp(n, h.to(n.dtype), z)


def _turn(x: Tensor, turned: Tensor) -> Tensor:
    """x (S, B, ·) with each row's positions from last to first; padding stays where it is."""
    return x.gather(0, turned[:, :, None].expand_as(x))
