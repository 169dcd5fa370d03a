"""The specification of a cell, from which reference, training, inference and export derive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, NamedTuple, Protocol, Self, TypeVar

from torch import Tensor, nn

from penstock.config import cell_entry


class Value(Protocol):
    """An operand of equations: a tensor (…, ·), or a node of a graph under construction."""

    def __add__(self, other: Any, /) -> Self: ...
    def __sub__(self, other: Any, /) -> Self: ...
    def __rsub__(self, other: Any, /) -> Self: ...
    def __mul__(self, other: Any, /) -> Self: ...
    def __truediv__(self, other: Any, /) -> Self: ...
    def sigmoid(self) -> Self: ...  # noqa: D102 - as a tensor's, and so are those below
    def tanh(self) -> Self: ...  # noqa: D102
    def relu(self) -> Self: ...  # noqa: D102
    def chunk(self, chunks: int, dim: int, /) -> Sequence[Self]: ...  # noqa: D102


V = TypeVar("V", bound=Value)
Equations = Callable[[Any, Any, Any, Callable[[Any], Any]], dict[str, Any]]
Slices = Sequence[tuple[int, int]]


class Fused(Protocol):
    """A whole sequence through one cell, with a hand-written gradient.

    Input products are computed once for all positions; each step is one matrix product and the
    gates. The weight gradient is one large product too, and no graph is built per step.
    On a CPU with bf16 this is faster than `torch.nn.LSTM`, whose fast path (oneDNN) takes no
    lengths; `penstock bench recurrence` compares them.

    Positions are packed as torch packs them (`PackedSequence`): time-major, rows sorted by length,
    so that no padding is computed and the final state is exact.
    """

    def __call__(
        self,
        products: Tensor,
        h: Tensor,
        c: Any,
        weight_hh: Any,
        bias_hh: Any,
        slices: Slices,
        /,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Run one layer in one direction.

        Args:
            products: x·W_ih + b_ih for all N packed positions, (N, G·H), and + b_hh where the cell
                is `joined`; further rows are padding (see `penstock.nn.products`) and give zeros.
            h: initial hidden state, (B, H), rows in packed (sorted) order; of any dtype, as is c.
            c: initial cell, (B, H), or None.
            weight_hh: (G·H, H); None for a cell without recurrent weights, as is the bias.
            bias_hh: (G·H,); None where `products` include it.
            slices: (first packed position, rows alive) of each step, in the order of the steps.
                Backward in time, rows join at their last token.

        Returns:
            Outputs (N, H), final h (B, H), final c (B, H) or None.
        """
        ...


class Padded(Protocol):
    """A whole sequence over padded rows, all of one length: no shape depends on values."""

    def __call__(
        self, products: Tensor, h: Tensor, c: Tensor | None, /
    ) -> tuple[Tensor, Tensor | None]:
        """Run one layer, forward in time.

        Args:
            products: (B, S, G·H) as from `Cell.input_products`.
            h, c: the state before, (B, H); c may be None.

        Returns:
            Outputs and c after every position, (B, S, H) each, in float32 at least.
        """
        ...


class TorchKernel(NamedTuple):
    """The same function in torch: used on a GPU, and for conversion of weights."""

    module: type[nn.RNN] | type[nn.GRU] | type[nn.LSTM]
    function: Callable[..., Any]


class PackedForm(NamedTuple):
    """A step without gradients over prepacked weights (`penstock.runtime.packed_layers`).

    Attributes:
        step: from the input's products, the state's (None where both are one product or the cell
            has no recurrent weights), h and c to the new h and c. It may overwrite the products.
        arrange: reorders and scales the rows of a weight or bias for `step`.
    """

    step: Callable[[Tensor, Any, Tensor, Any], tuple[Tensor, Tensor | None]]
    arrange: Callable[[Tensor], Tensor] = Tensor.detach


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSpec:
    """A recurrent cell.

    Attributes:
        name: as in `model.cell`.
        equations: one step as in the paper: from x·W_ih + b_ih, h, c (None without) and the
            function h ↦ h·W_hh + b_hh to all named values; always `hidden`, and `cell` if the state
            has a c.
        blocks: G, blocks of H rows in the weights.
        gates: the sigmoid gates by name, and the block of each; a candidate is not a gate.
        carries: parts of the previous state that the equations read. The output is `State.h`.
        recurrent_weights: whether there are W_hh and b_hh.
        highway: `equations` find the layer's input behind the products, as one more block: itself
            where I = H, else projected to H by one more block of rows. Only without recurrent
            weights.
        joined: the equations use only the sum of x·W_ih + b_ih and h·W_hh + b_hh, so one product
            of [x, h] suffices.
        memory_gate: the gate whose bias is initialized to 1 (`penstock.nn.initialization`).
        forms: published variants, by the value of the cell's own option.
        fused: forward and backward over a whole sequence; None: reference backend only.
        kernel: torch's, if it has one.
        padded: what a GPU runs where there is no such kernel.
        packed: the inference step; None: inference uses the equations.
    """

    name: str
    equations: Equations
    blocks: int
    gates: Mapping[str, int] = field(default_factory=dict[str, int])
    carries: tuple[Literal["h", "c"], ...] = ("h",)
    recurrent_weights: bool = True
    highway: bool = False
    joined: bool = False
    memory_gate: str | None = None
    forms: Mapping[str, CellSpec] = field(default_factory=dict[str, "CellSpec"])
    fused: Fused | None = None
    kernel: TorchKernel | None = None
    padded: Padded | None = None
    packed: PackedForm | None = None

    @property
    def has_cell(self) -> bool:
        """Whether the state has a c beside h."""
        return "c" in self.carries

    def rows(self, input_size: int, hidden_size: int) -> int:
        """The rows of W_ih."""
        projected = self.highway and input_size != hidden_size
        return (self.blocks + projected) * hidden_size


def cell_spec(name: str, *, gru_form: str = "after") -> CellSpec:
    """Look up a cell by name.

    Raises:
        ValueError: there is no such cell.
    """
    spec: CellSpec = import_module(cell_entry(name).module).CELL
    return spec.forms.get(gru_form, spec)
