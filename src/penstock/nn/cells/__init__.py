"""The cells, one file each: equations as in the paper, then the same function computed fast.

`penstock.config.CELLS` is the table of them.
"""

from penstock.nn.cells.cell import Cell
from penstock.nn.cells.cell_spec import (
    CellSpec,
    Fused,
    PackedForm,
    TorchKernel,
    V,
    Value,
    cell_spec,
)
from penstock.nn.cells.scan import Scan

__all__ = [
    "Cell",
    "CellSpec",
    "Fused",
    "PackedForm",
    "Scan",
    "TorchKernel",
    "V",
    "Value",
    "cell_spec",
]
