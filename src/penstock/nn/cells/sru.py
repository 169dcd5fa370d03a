"""The simple recurrent unit: a forget gate, and a highway around the layer.

Lei et al. 2018, 'Simple Recurrent Units for Highly Parallelizable Recurrence',
https://arxiv.org/abs/1709.02755. The paper's equations without v_f and v_r, as in its first
version: with them the gates read the previous state, which is then no scan. Block order z, f, r and
the highway's.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

from torch import Tensor

from penstock.nn.cells.cell_spec import CellSpec, V
from penstock.nn.cells.scan import Scan

ALPHA = sqrt(3)  # keeps the variance from layer to layer where biases start at 0


def sru(x: V, h: V, c: V, from_state: Callable[[V], V]) -> dict[str, V]:
    """One step; `x` holds the products with their biases, then the layer's input."""
    z, f, r, below = x.chunk(4, -1)
    f = f.sigmoid()  # forget gate
    c = f * c + (1 - f) * z
    r = r.sigmoid()  # reset gate
    h = r * c + (1 - r) * (below * ALPHA)
    return {"forget": f, "reset": r, "candidate": z, "cell": c, "hidden": h}


def _terms(products: Tensor) -> tuple[Tensor, ...]:
    z, f, r, below = products.chunk(4, -1)
    return f, z, r, below


def _output(c: Tensor, r: Tensor, below: Tensor) -> Tensor:
    return (below * ALPHA).lerp(c, r.sigmoid())


SCAN = Scan(_terms, _output)
CELL = CellSpec(
    name="sru",
    equations=sru,
    blocks=3,
    gates={"forget": 1, "reset": 2},
    carries=("c",),
    recurrent_weights=False,
    highway=True,
    fused=SCAN.fused,
    padded=SCAN.padded,
    packed=SCAN.packed,
)
