"""The minimal LSTM: forget and input gate read the input alone, and together make a whole.

Feng et al. 2024, 'Were RNNs All We Needed?', https://arxiv.org/abs/2410.01201. Block order f, i, g
(the paper's tilde h).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import logsigmoid

from penstock.nn.cells.cell_spec import CellSpec, V
from penstock.nn.cells.scan import Scan


def minlstm(x: V, h: V, c: None, from_state: Callable[[V], V]) -> dict[str, V]:
    """One step; `x` is the product with its bias."""
    f, i, g = x.chunk(3, -1)
    f, i = f.sigmoid(), i.sigmoid()
    whole = f + i
    h = f / whole * h + i / whole * g
    return {"forget": f, "input": i, "candidate": g, "hidden": h}


def _terms(products: Tensor) -> tuple[Tensor, Tensor]:
    f, i, g = products.chunk(3, -1)
    return logsigmoid(f) - logsigmoid(i), g  # f / (f + i) = σ(ln f - ln i)


SCAN = Scan(_terms)
CELL = CellSpec(
    name="minlstm",
    equations=minlstm,
    blocks=3,
    gates={"forget": 0, "input": 1},
    recurrent_weights=False,
    memory_gate="forget",
    fused=SCAN.fused,
    padded=SCAN.padded,
    packed=SCAN.packed,
)
