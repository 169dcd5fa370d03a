"""The cells as equations: RNN, GRU in both published forms, LSTM.

These are the reference: one step, one line an equation, no optimisation. Their parameters have
torch's names, shapes and gate order, so that weights pass to `torch.nn.RNN/GRU/LSTM` and back.
`penstock.nn.fused` computes the same functions fast.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from penstock.nn.state import State

CellKind = Literal["rnn", "gru", "lstm"]
GATES: dict[CellKind, int] = {"rnn": 1, "gru": 3, "lstm": 4}
# the sigmoid gates by name and their place among a cell's products; the candidate is none
GATE_PLACES: dict[CellKind, dict[str, int]] = {
    "rnn": {},
    "gru": {"reset": 0, "update": 1},
    "lstm": {"input": 0, "forget": 1, "output": 3},
}
_SATURATED = 1e4  # the sigmoid of it is exactly 1 in every type, and that of its negative exactly 0


class Cell(nn.Module):
    """The parameters of one layer in one direction, and one reference step.

    Args:
        kind: `rnn` (Elman, tanh), `gru` or `lstm`.
        input_size: width I of the input.
        hidden_size: width H of the state.
        gru_form: `after` applies the reset gate after the product, R⊙(HW + b), as torch and cuDNN
            do; `before` applies it before, (R⊙H)W + b, as the book and Cho et al. 2014 do.
        layer_norm: normalise both products before the gates (Ba et al. 2016).
    """

    def __init__(
        self,
        kind: CellKind,
        input_size: int,
        hidden_size: int,
        *,
        gru_form: Literal["after", "before"] = "after",
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        self.kind: CellKind = kind
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.gru_form = gru_form
        rows = GATES[kind] * hidden_size
        bound = 1 / math.sqrt(hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size).uniform_(-bound, bound))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size).uniform_(-bound, bound))
        self.bias_ih = nn.Parameter(torch.empty(rows).uniform_(-bound, bound))
        self.bias_hh = nn.Parameter(torch.empty(rows).uniform_(-bound, bound))
        self.norm_ih = nn.LayerNorm(rows) if layer_norm else nn.Identity()
        self.norm_hh = nn.LayerNorm(rows) if layer_norm else nn.Identity()

    def forward(self, x: Tensor, state: State) -> State:
        """One step: x (B, I) and the state before, (1, B, H), to the state after."""
        return self.trace(x, state)[0]

    def trace(self, x: Tensor, state: State) -> tuple[State, dict[str, Tensor]]:
        """One step, and what its equations name, each (B, H); arguments as `forward`.

        A GRU has `reset`, `update`, `candidate`; an LSTM `input`, `forget`, `output`, `candidate`
        and `cell`; each has `hidden`.
        """
        if self.kind == "lstm":
            return self._lstm(x, state)
        named = self._gru(x, state.h[0]) if self.kind == "gru" else self._rnn(x, state.h[0])
        return State(named["hidden"][None]), named

    def _rnn(self, x: Tensor, h: Tensor) -> dict[str, Tensor]:
        return {"hidden": torch.tanh(self._from_input(x) + self._from_state(h))}

    def _gru(self, x: Tensor, h: Tensor) -> dict[str, Tensor]:
        x_r, x_z, x_n = self._from_input(x).chunk(3, -1)
        h_r, h_z, h_n = self._from_state(h).chunk(3, -1)
        r = torch.sigmoid(x_r + h_r)  # reset gate
        z = torch.sigmoid(x_z + h_z)  # update gate
        if self.gru_form == "before":
            h_n = self._from_state(r * h).chunk(3, -1)[2]
            n = torch.tanh(x_n + h_n)
        else:
            n = torch.tanh(x_n + r * h_n)  # candidate
        h = (1 - z) * n + z * h
        return {"reset": r, "update": z, "candidate": n, "hidden": h}

    def _lstm(self, x: Tensor, state: State) -> tuple[State, dict[str, Tensor]]:
        assert state.c is not None
        h, c = state.h[0], state.c[0]
        i, f, g, o = (self._from_input(x) + self._from_state(h)).chunk(4, -1)
        i, f, o = torch.sigmoid(i), torch.sigmoid(f), torch.sigmoid(o)
        g = torch.tanh(g)  # candidate cell
        c = f * c + i * g
        h = o * torch.tanh(c)
        named = {"input": i, "forget": f, "output": o, "candidate": g, "cell": c, "hidden": h}
        return State(h[None], c[None]), named

    def gates(self, x: Tensor, state: State) -> dict[str, Tensor]:
        """What the gates of one step let through, by name, each (B, H); arguments as `forward`.

        A GRU has `reset` and `update`, an LSTM `input`, `forget` and `output`, an RNN none.
        """
        named = self.trace(x, state)[1]
        return {name: named[name] for name in GATE_PLACES[self.kind]}

    @torch.no_grad()
    def hold_gate(self, name: str, value: float) -> None:
        """Set weights so that a gate has one value, whatever comes in.

        At 0 and 1 the value is exact and training keeps it: the gradient of a saturated sigmoid is
        zero. In between, training moves it on.

        Raises:
            ValueError: this cell has no such gate, the value is no gate's, or layer norm, which
                takes every constant out of the products, is in the way.
        """
        places = GATE_PLACES[self.kind]
        if name not in places:
            known = ", ".join(places) or "none"
            raise ValueError(f"no gate {name!r} in a cell of kind {self.kind!r}; it has: {known}")
        if not 0 <= value <= 1:
            raise ValueError(f"gate {name!r} = {value}: a gate lets through 0 (nothing) to 1 (all)")
        if isinstance(self.norm_hh, nn.LayerNorm):
            raise ValueError(f"gate {name!r}: layer norm moves what is held; hold it without")
        start = places[name] * self.hidden_size
        rows = slice(start, start + self.hidden_size)
        for parameter in (self.weight_ih, self.weight_hh, self.bias_hh):
            parameter[rows] = 0
        self.bias_ih[rows] = _logit(value)

    def _from_input(self, x: Tensor) -> Tensor:
        return self.norm_ih(linear(x, self.weight_ih, self.bias_ih))

    def _from_state(self, h: Tensor) -> Tensor:
        return self.norm_hh(linear(h, self.weight_hh, self.bias_hh))

    def zero_state(self, batch_size: int, like: Tensor) -> State:
        """The state before the first step, zeros (1, B, H) of `like`'s type and device."""
        zeros = like.new_zeros(1, batch_size, self.hidden_size)
        return State(zeros, zeros if self.kind == "lstm" else None)


def _logit(value: float) -> float:
    """What the sigmoid takes to `value`."""
    if value in (0, 1):
        return _SATURATED if value else -_SATURATED
    return math.log(value / (1 - value))
