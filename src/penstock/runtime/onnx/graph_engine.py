"""What the ONNX engines of the tasks share: one graph, and functions that call it.

The functions take and give what the networks' methods of the same names do; see
`penstock.runtime.engine.Engine`.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from penstock.bundle import Bundle
from penstock.runtime.onnx.interface import GRAPH_ROLE, GraphSpec
from penstock.runtime.onnx.session import GraphSession

Array = NDArray[Any]


class GraphEngine:
    """One graph, and its functions by name.

    Args:
        bundle: with its files.
        specs: the forms that the graph may have.
        threads: that compute one call.

    Raises:
        BundleError: the graph is missing, damaged, or not this model's.
    """

    functions: tuple[str, ...] = ()
    device = "cpu"

    def __init__(self, bundle: Bundle, specs: tuple[GraphSpec, ...], threads: int) -> None:
        self._session = GraphSession(
            bundle.files, GRAPH_ROLE, place=str(bundle.place), specs=specs, threads=threads
        )

    def run(self, function: str, /, *inputs: Array | None) -> tuple[Array | None, ...]:
        """Call a function; see `Engine.run`."""
        assert function in self.functions, f"no function {function!r}"
        return getattr(self, function)(*inputs)

    def _call(self, outputs: list[str], **inputs: Array) -> list[Array]:
        return self._session.run(outputs, inputs)
