"""The minimal gated recurrent unit: a GRU whose gate and candidate read the input alone.

Feng et al. 2024, 'Were RNNs All We Needed?', https://arxiv.org/abs/2410.01201. Block order z, n
(the paper's tilde h). Here z lets in the new; a GRU's z keeps the old.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from penstock.nn.cells.cell_spec import CellSpec, V
from penstock.nn.cells.scan import Scan


def mingru(x: V, h: V, c: None, from_state: Callable[[V], V]) -> dict[str, V]:
    """One step; `x` is the product with its bias."""
    z, n = x.chunk(2, -1)
    z = z.sigmoid()  # update gate
    h = (1 - z) * h + z * n
    return {"update": z, "candidate": n, "hidden": h}


def _terms(products: Tensor) -> tuple[Tensor, Tensor]:
    z, n = products.chunk(2, -1)
    return -z, n  # 1 - σ(z) = σ(-z)


SCAN = Scan(_terms)
CELL = CellSpec(
    name="mingru",
    equations=mingru,
    blocks=2,
    gates={"update": 0},
    recurrent_weights=False,
    fused=SCAN.fused,
    padded=SCAN.padded,
    packed=SCAN.packed,
)
