"""The graph builder against numpy and torch: the same numbers, the integers bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from penstock.export.graph_builder import WEIGHT_LIMIT, Graph, Value, quantize_rows
from penstock.export.readout_nodes import likeliest
from penstock.runtime.onnx.interface import TensorSpec

Floats = NDArray[np.float32]
ROWS, INPUTS, OUTPUTS = 37, 70, 50
SCALE = 2.0 / 127  # of activations between -2 and 2


def run(graph: Graph, *, threads: int = 1, **feeds: NDArray[np.generic]) -> list[Floats]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(graph.serialize(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(each) for each in session.run(None, feeds)]


def floats(*shape: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def product_graph(precision: str, weight: Floats, bias: Floats | None) -> Graph:
    graph = Graph("int8" if precision == "int8" else "fp32", {"x": 2.0})
    x = graph.input(TensorSpec("x", "float32", ("N", weight.shape[1])))
    y = graph.linear([graph.activation(x, "x")], weight, bias)
    graph.output(TensorSpec("y", "float32", ("N", len(weight))), y)
    return graph


def as_integers(x: Floats) -> NDArray[np.int64]:
    """What QuantizeLinear makes of activations, less its zero point."""
    steps = np.rint(x / np.float32(SCALE)).astype(np.int64)
    return np.clip(steps + 128, 0, 255) - 128


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rows", [1, 2, 5, ROWS])
def test_an_int8_product_is_the_integer_product(rows: int, threads: int) -> None:
    # large enough that some activations are cut off at the ends of their range
    x, weight = floats(ROWS, INPUTS) * 2, floats(OUTPUTS, INPUTS, seed=2)
    scaled = np.float64(SCALE) * weight.astype(np.float64)
    integers, scales = quantize_rows(scaled)
    expected = (as_integers(x) @ integers.T.astype(np.int64)).astype(np.float32) * scales
    (found,) = run(product_graph("int8", weight, None), threads=threads, x=x[:rows])
    assert (found == expected[:rows]).all()


def test_no_processor_saturates() -> None:
    # without VNNI two products of a uint8 and an int8 are added in 16 signed bits
    assert np.iinfo(np.int16).max >= 2 * 255 * WEIGHT_LIMIT
    integers, scales = quantize_rows(floats(OUTPUTS, INPUTS).astype(np.float64))
    assert np.abs(integers).max() == WEIGHT_LIMIT
    ones = np.full((3, INPUTS), 1e9, np.float32)  # every activation is 255
    weight = np.full((1, INPUTS), WEIGHT_LIMIT, np.float32)
    (found,) = run(product_graph("int8", weight, None), x=ones)
    assert found == pytest.approx(np.full((3, 1), INPUTS * WEIGHT_LIMIT * 127 * SCALE), rel=1e-6)
    assert (scales > 0).all()


def test_an_int8_product_is_near_the_float_product() -> None:
    x = np.clip(floats(ROWS, INPUTS), -2, 2)
    weight, bias = floats(OUTPUTS, INPUTS, seed=2), floats(OUTPUTS, seed=3)
    exact = x @ weight.T + bias
    (float_found,) = run(product_graph("fp32", weight, bias), x=x)
    assert float_found == pytest.approx(exact, abs=1e-4)
    (found,) = run(product_graph("int8", weight, bias), x=x)
    assert np.abs(found - exact).max() < 0.02 * np.abs(exact).max()


def test_a_row_of_zeros_has_a_scale() -> None:
    integers, scales = quantize_rows(np.zeros((2, 3)))
    assert not integers.any()
    assert (scales == 1).all()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_sum_of_two_products_is_one_product(precision: str) -> None:
    x, h = np.clip(floats(ROWS, INPUTS), -2, 2), np.clip(floats(ROWS, OUTPUTS, seed=4), -1, 1)
    weight_x, weight_h = floats(OUTPUTS, INPUTS, seed=2), floats(OUTPUTS, OUTPUTS, seed=3)
    bias_x, bias_h = floats(OUTPUTS, seed=5), floats(OUTPUTS, seed=6)
    graph = Graph("int8" if precision == "int8" else "fp32", {"x": 2.0, "h": 1.0})
    from_x = graph.linear(
        [graph.activation(graph.input(TensorSpec("x", "float32", ("N", INPUTS))), "x")],
        weight_x,
        bias_x,
    )
    from_h = graph.linear(
        [graph.activation(graph.input(TensorSpec("h", "float32", ("N", OUTPUTS))), "h")],
        weight_h,
        bias_h,
    )
    graph.output(TensorSpec("y", "float32", ("N", OUTPUTS)), from_x + from_h)
    kinds = [node.op_type for node in graph._nodes]
    assert sum(kind.startswith("MatMul") for kind in kinds) == 1
    exact = x @ weight_x.T + bias_x + h @ weight_h.T + bias_h
    (found,) = run(graph, x=x, h=h)
    tolerance = 1e-4 if precision == "fp32" else 0.02 * np.abs(exact).max()
    assert np.abs(found - exact).max() < tolerance


EQUATIONS: dict[str, Callable[..., object]] = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "subtract from a number": lambda x, y: (1 - x) * y,
    "multiply": lambda x, y: x * y,
    "by a number": lambda x, y: x * 3.0 + y,
    "divide": lambda x, y: x / (y * y + x * x),
}


@pytest.mark.parametrize("name", EQUATIONS)
def test_values_compute_as_arrays(name: str) -> None:
    x, y = floats(ROWS, 6), floats(ROWS, 6, seed=2)
    graph = Graph("fp32")
    spec = ("N", 6)
    values = [graph.input(TensorSpec(each, "float32", spec)) for each in "xy"]
    made = EQUATIONS[name](*values)
    assert isinstance(made, Value)
    graph.output(TensorSpec("out", "float32", spec), made)
    (found,) = run(graph, x=x, y=y)
    assert found == pytest.approx(np.asarray(EQUATIONS[name](x, y)), rel=1e-6)


def test_functions_and_chunks_compute_as_in_torch() -> None:
    torch = pytest.importorskip("torch")
    x = floats(ROWS, 8)
    graph = Graph("fp32")
    given = graph.input(TensorSpec("x", "float32", ("N", 8)))
    a, b, c, d = given.chunk(4, -1)
    made = a.sigmoid() * b.tanh() + c.relu() - d
    graph.output(TensorSpec("out", "float32", ("N", 2)), made)
    (found,) = run(graph, x=x)
    a, b, c, d = torch.from_numpy(x).chunk(4, -1)
    expected = a.sigmoid() * b.tanh() + c.relu() - d
    assert found == pytest.approx(expected.numpy(), abs=1e-6)


def test_equal_constants_are_stored_once() -> None:
    graph = Graph("fp32")
    x = graph.input(TensorSpec("x", "float32", ("N", 3)))
    graph.output(TensorSpec("out", "float32", ("N", 3)), x * 2.0 + x * 2.0)
    assert len(graph._constants) == 1
    assert graph.serialize() == graph.serialize()


@pytest.mark.parametrize("vocab_size", [1, 7, 20, 97, 600, 1001, 8000])
def test_likeliest_tokens_as_a_stable_sort_has_them(vocab_size: int) -> None:
    graph = Graph("fp32")
    log_probs = graph.input(TensorSpec("log_probs", "float32", ("N", vocab_size)))
    top = graph.input(TensorSpec("top", "int64", (1,)))
    values, ids = likeliest(graph, log_probs, top, vocab_size)
    graph.output(TensorSpec("values", "float32", ("N", "K")), values)
    graph.output(TensorSpec("ids", "int64", ("N", "K")), ids)
    given = np.round(floats(ROWS, vocab_size), 1)  # many are equal
    given[:2] = [[-np.inf], [0.0]]
    order = (-given).argsort(-1, "stable")
    for count in {1, min(8, vocab_size), vocab_size}:
        found = run(graph, log_probs=given, top=np.array([count]))
        np.testing.assert_array_equal(found[1], order[:, :count])
        np.testing.assert_array_equal(found[0], np.take_along_axis(given, order[:, :count], -1))
