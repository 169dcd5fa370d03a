"""Calibration runs a graph by the runtime's rules; a graph that breaks them is not exported."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.errors import UsageError
from penstock.export.calibration import Observer, Ranges
from penstock.export.graph_builder import Graph
from penstock.runtime.onnx.interface import TensorSpec


def sum_graph(left: int | str, right: int | str) -> Graph:
    graph = Graph("fp32")
    x, y = (
        graph.input(TensorSpec(name, "float32", ("N", width)))
        for name, width in (("x", left), ("y", right))
    )
    graph.output(TensorSpec("out", "float32", ("N", "O")), graph.activation(x + y, "sum").value)
    return graph


def test_outputs_are_returned_and_activations_recorded() -> None:
    ranges = Ranges()
    found = Observer(sum_graph(2, 2), ranges).run(
        {"x": np.array([[1, -5]], np.float32), "y": np.array([[1, 1]], np.float32)}
    )
    assert {name: value.tolist() for name, value in found.items()} == {"out": [[2, -4]]}
    assert ranges.fixed(share=1.0) == {"sum": 4.0}


@pytest.mark.parametrize(("widths", "when"), [((2, 3), "read"), (("I", "J"), "run")])
def test_a_contradiction_is_a_usage_error(widths: tuple[int | str, int | str], when: str) -> None:
    def observe() -> None:
        feeds = {"x": np.zeros((1, 2), np.float32), "y": np.zeros((1, 3), np.float32)}
        Observer(sum_graph(*widths), Ranges()).run(feeds)

    message = rf"^the model cannot be exported: ONNX Runtime [\d.]+ cannot {when} it \(.*--engine"
    with pytest.raises(UsageError, match=message):
        observe()
