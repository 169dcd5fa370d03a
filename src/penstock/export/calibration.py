"""Ranges of activations, observed on held-out text and then fixed.

A range taken from each batch would make a sentence's result depend on what shares its batch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from penstock.config import ExportPrecision
from penstock.errors import UsageError
from penstock.export.graph_builder import Graph
from penstock.runtime.onnx.session import RuntimeSession

Feeds = Mapping[str, NDArray[np.generic]]
Outputs = dict[str, NDArray[np.generic]]


class Observer:
    """A float32 graph whose activations are recorded while it runs.

    Args:
        graph: of precision fp32.
        ranges: the greatest absolute values so far by tag; `run` adds to them.

    Raises:
        UsageError: the graph contradicts itself; as does `run`.
    """

    def __init__(self, graph: Graph, ranges: Ranges) -> None:
        self._session = RuntimeSession(graph.serialize(observing=True), _not_exported)
        self._tags = list(graph.observed)
        self._ranges = ranges

    def run(self, feeds: Feeds) -> Outputs:
        """The graph's own outputs; no row of the feeds may be padding."""
        names = self._session.outputs
        found = dict(zip(names, self._session.run(names, dict(feeds)), strict=True))
        for tag in self._tags:
            self._ranges.add(tag, found.pop(tag))
        return found


def _not_exported(reason: str) -> UsageError:
    return UsageError(
        f"the model cannot be exported: {reason}; use it with --engine torch, which needs no graph"
    )


def calibrated(
    build: Callable[[ExportPrecision, Mapping[str, float] | None], Graph],
    precision: ExportPrecision,
    run: Callable[[Observer], None],
) -> Graph:
    """Build one graph, for int8 with the ranges seen when `run` runs its float32 form."""
    graph = build("fp32", None)
    if precision == "fp32":
        return graph
    ranges = Ranges()
    run(Observer(graph, ranges))
    return build("int8", ranges.fixed())


class Ranges:
    """Absolute values of activations by tag."""

    def __init__(self) -> None:
        self._values: defaultdict[str, list[NDArray[np.float32]]] = defaultdict(list)

    def add(self, tag: str, values: NDArray[np.generic]) -> None:
        """Record values."""
        self._values[tag].append(np.abs(values).astype(np.float32).ravel())

    def fixed(self, *, share: float = 0.9999) -> dict[str, float]:
        """The range of each tag: what this share of its values does not exceed."""
        return {
            tag: float(np.quantile(np.concatenate(values), share)) or 1.0
            for tag, values in self._values.items()
        }
