"""The simpler simple recurrent unit: SRU with ReLU outputs and no reset gate.

Kim et al. 2019, 'From Research to Production and Back: Ludicrously Fast Neural Machine
Translation', https://aclanthology.org/D19-5632. The recurrence of Marian's fast decoders. Block
order f, z.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from penstock.nn.cells.cell_spec import CellSpec, V
from penstock.nn.cells.scan import Scan


def ssru(x: V, h: V, c: V, from_state: Callable[[V], V]) -> dict[str, V]:
    """One step; `x` is the product with its bias."""
    f, z = x.chunk(2, -1)
    f = f.sigmoid()  # forget gate
    c = f * c + (1 - f) * z
    return {"forget": f, "candidate": z, "cell": c, "hidden": c.relu()}


def _terms(products: Tensor) -> tuple[Tensor, ...]:
    return products.chunk(2, -1)


SCAN = Scan(_terms, Tensor.relu)
CELL = CellSpec(
    name="ssru",
    equations=ssru,
    blocks=2,
    gates={"forget": 0},
    carries=("c",),
    recurrent_weights=False,
    fused=SCAN.fused,
    padded=SCAN.padded,
    packed=SCAN.packed,
)
