"""The parameters of a cell and its reference step: the equations, unoptimized.

Parameters have torch's names, shapes and gate order, so that weights convert to
`torch.nn.RNN/GRU/LSTM` and back.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from penstock.nn.cells.cell_spec import cell_spec
from penstock.nn.state import State

_SATURATED = 1e4  # the sigmoid of it is exactly 1 in every type, and that of its negative exactly 0


class Cell(nn.Module):
    """One layer in one direction.

    Args:
        name: of the cell, in `penstock.config.CELLS`.
        input_size: width I of the input.
        hidden_size: width H of the state.
        gru_form: see `penstock.nn.cells.gru`.
        layer_norm: normalise both products before the gates (Ba et al. 2016).
    """

    weight_ih: nn.Parameter
    weight_hh: Any  # a parameter, or None in a cell without recurrent weights
    bias_ih: nn.Parameter
    bias_hh: Any

    def __init__(
        self,
        name: str,
        input_size: int,
        hidden_size: int,
        *,
        gru_form: str = "after",
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        spec = self.spec = cell_spec(name, gru_form=gru_form)
        self.input_size = input_size
        self.hidden_size = hidden_size
        rows = spec.rows(input_size, hidden_size)
        bound = 1 / math.sqrt(hidden_size)
        shapes = {
            "weight_ih": (rows, input_size),
            "weight_hh": (rows, hidden_size) if spec.recurrent_weights else None,
            "bias_ih": (rows,),
            "bias_hh": (rows,) if spec.recurrent_weights else None,
        }
        for weight, shape in shapes.items():
            value = None if shape is None else torch.empty(shape).uniform_(-bound, bound)
            self.register_parameter(weight, None if value is None else nn.Parameter(value))
        self.norm_ih = nn.LayerNorm(rows) if layer_norm else nn.Identity()
        self.norm_hh = nn.LayerNorm(rows) if layer_norm else nn.Identity()

    def forward(self, x: Tensor, state: State, *, weight_hh: Tensor | None = None) -> State:
        """One step.

        Args:
            x: (B, I).
            state: before, (1, B, H).
            weight_hh: replaces the cell's own, for weight dropout.

        Returns:
            The state after.
        """
        return self.trace(x, state, weight_hh=weight_hh)[0]

    def trace(
        self, x: Tensor, state: State, *, weight_hh: Tensor | None = None
    ) -> tuple[State, dict[str, Tensor]]:
        """One step with all values named by its equations, each (B, H); arguments as for `forward`.

        A GRU has `reset`, `update`, `candidate`; an LSTM `input`, `forget`, `output`, `candidate`
        and `cell`; each has `hidden`.
        """
        weight = self.weight_hh if weight_hh is None else weight_hh

        def from_state(h: Tensor) -> Tensor:
            assert weight is not None
            return self.norm_hh(linear(h, weight, self.bias_hh))

        from_input = self.norm_ih(self.input_products(x))
        c = None if state.c is None else state.c[0]
        named = self.spec.equations(from_input, state.h[0], c, from_state)
        c = named["cell"][None] if self.spec.has_cell else None
        return State(named["hidden"][None], c), named

    def input_products(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """x·W_ih + b_ih, (…, I) to (…, G·H), and a highway's block; `bias` replaces b_ih."""
        products = linear(x, self.weight_ih, self.bias_ih if bias is None else bias)
        return torch.cat([products, x.to(products.dtype)], -1) if self.passes_input else products

    @property
    def products_size(self) -> int:
        """G·H, the width of `input_products`."""
        return len(self.weight_ih) + (self.input_size if self.passes_input else 0)

    @property
    def passes_input(self) -> bool:
        """Whether the equations read the input itself behind its products."""
        return self.spec.highway and self.input_size == self.hidden_size

    def gates(self, x: Tensor, state: State) -> dict[str, Tensor]:
        """Gate activations of one step by name, each (B, H); arguments as for `forward`.

        A GRU has `reset` and `update`, an LSTM `input`, `forget` and `output`, an RNN none.
        """
        named = self.trace(x, state)[1]
        return {name: named[name] for name in self.spec.gates}

    @torch.no_grad()
    def hold_gate(self, name: str, value: float) -> None:
        """Set weights so that a gate has a constant value for every input.

        At 0 and 1 the value is exact, and training keeps it: the gradient of a saturated sigmoid is
        zero. Values in between are trained further.

        Raises:
            ValueError: no such gate, a value outside 0 to 1, or layer norm (it removes constants).
        """
        gates = self.spec.gates
        if name not in gates:
            known = ", ".join(gates) or "none"
            raise ValueError(f"no gate {name!r} in cell {self.spec.name!r}; it has: {known}")
        if not 0 <= value <= 1:
            raise ValueError(f"gate {name!r} = {value}: a gate lets through 0 (nothing) to 1 (all)")
        if isinstance(self.norm_hh, nn.LayerNorm):
            raise ValueError(f"gate {name!r}: layer norm would move the held value; leave it out")
        for parameter in self.parameters():
            self.block(parameter, name).zero_()
        self.block(self.bias_ih, name).fill_(_logit(value))

    def block(self, parameter: Tensor, gate: str) -> Tensor:
        """A gate's H rows of a weight or bias."""
        return parameter.narrow(0, self.spec.gates[gate] * self.hidden_size, self.hidden_size)

    def zero_state(self, batch_size: int, like: Tensor) -> State:
        """The state before the first step, zeros (1, B, H) of `like`'s type and device."""
        zeros = like.new_zeros(1, batch_size, self.hidden_size)
        return State(zeros, zeros if self.spec.has_cell else None)


def _logit(value: float) -> float:
    """The inverse of the sigmoid."""
    if value in (0, 1):
        return _SATURATED if value else -_SATURATED
    return math.log(value / (1 - value))
