"""The cells that `model.cell` may name, without torch.

The cell itself is one `penstock.nn.cells.CellSpec`, the value `CELL` of the module named here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.errors import look_up


@dataclass(frozen=True, slots=True)
class CellEntry:
    """One line of the table.

    Attributes:
        module: defines `CELL`; imported when a network is built.
        own: options of this cell alone.
        without: options that this cell lacks, each with the reason: `layer_norm`,
            `weight_dropout`, or `fused` for the backend.
        bounded: candidate and output lie between -1 and 1.
    """

    module: str
    own: tuple[str, ...] = ()
    without: Mapping[str, str] = field(default_factory=dict[str, str])
    bounded: bool = True


_PARALLEL = {  # cells whose gates read the input alone
    "weight_dropout": "it has no recurrent weights",
    "layer_norm": "its gates do not read the state, whose scale layer norm would control",
}


def _parallel(module: str) -> CellEntry:
    return CellEntry(module, without=_PARALLEL, bounded=False)


CELLS: dict[str, CellEntry] = {
    "rnn": CellEntry("penstock.nn.cells.elman"),
    "gru": CellEntry("penstock.nn.cells.gru", own=("gru_form",)),
    "lstm": CellEntry("penstock.nn.cells.lstm"),
    "sru": _parallel("penstock.nn.cells.sru"),
    "ssru": _parallel("penstock.nn.cells.ssru"),
    "mingru": _parallel("penstock.nn.cells.mingru"),
    "minlstm": _parallel("penstock.nn.cells.minlstm"),
}


def cell_entry(name: str) -> CellEntry:
    """Look up a cell by name.

    Raises:
        ValueError: there is no such cell.
    """
    return look_up(CELLS, "cell", name)


def check_cell(
    name: str, *, gru_form: str, layer_norm: bool, weight_dropout: float, backend: str
) -> None:
    """Check that a cell exists and supports the options.

    Raises:
        ValueError: it does not.
    """
    entry = cell_entry(name)
    if gru_form != "after" and "gru_form" not in entry.own:
        raise ValueError(f"gru_form {gru_form!r} is an option of cell 'gru', found cell {name!r}")
    requested = {
        "layer_norm": layer_norm,
        "weight_dropout": weight_dropout > 0,
        "fused": backend == "fused",
    }
    for option, reason in entry.without.items():
        if requested[option]:
            raise ValueError(
                f"cell {name!r} has no fused backend: {reason}; set backend = 'reference'"
                if option == "fused"
                else f"cell {name!r} takes no {option}: {reason}"
            )
    if backend == "fused" and layer_norm:
        raise ValueError("layer_norm inside the cell needs backend = 'reference'")
    if backend == "fused" and gru_form == "before":
        raise ValueError("gru_form 'before' needs backend = 'reference' (torch has only 'after')")
