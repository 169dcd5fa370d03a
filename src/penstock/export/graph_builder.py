"""A small builder of ONNX graphs whose values compute like tensors.

A cell's equations, written once over `+ - *`, `.sigmoid()`, `.tanh()` and `.chunk(n, -1)`, give
numbers for tensors and nodes for these values. One builder makes float32 and int8 graphs: where an
int8 graph multiplies integers, the float32 graph multiplies what they stand for.

Over 350 lines, because builder and values are one subject: an operator is a method of a few lines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from penstock.config import ExportPrecision
from penstock.runtime.onnx.interface import IR_VERSION, OPSETS, GraphSpec, TensorSpec

ZERO_POINT = 128  # of uint8 activations: signed ones are 30 to 80 times slower
LEVELS = 127  # an activation's range is -127 … 127 steps
# A processor without VNNI adds two products of a uint8 and an int8 in 16 bits: at most 64 each,
# so that 2 · 255 · 64 fits. Weights are so everywhere, and every processor gives the same sums.
WEIGHT_LIMIT = 64


class Value:
    """A tensor of the graph.

    Args:
        graph: where its node stands.
        name: within the graph.
    """

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self._name = graph, name

    @property
    def name(self) -> str:
        """Its name in the graph."""
        return self._name

    def __add__(self, other: Value) -> Value:
        return self.graph.op("Add", self, other)

    def __sub__(self, other: Value) -> Value:
        return self.graph.op("Sub", self, other)

    def __rsub__(self, other: float) -> Value:
        return self.graph.op("Sub", self.graph.number(other), self)

    def __mul__(self, other: Value | float) -> Value:
        right = other if isinstance(other, Value) else self.graph.number(other)
        return self.graph.op("Mul", self, right)

    def __truediv__(self, other: Value | float) -> Value:
        right = other if isinstance(other, Value) else self.graph.number(other)
        return self.graph.op("Div", self, right)

    def sigmoid(self) -> Value:
        """The logistic function."""
        return self.graph.op("Sigmoid", self)

    def tanh(self) -> Value:
        """The hyperbolic tangent."""
        return self.graph.op("Tanh", self)

    def relu(self) -> Value:
        """The positive part."""
        return self.graph.op("Relu", self)

    def chunk(self, chunks: int, dim: int) -> tuple[Value, ...]:
        """Equal parts along a dimension."""
        return self.graph.ops("Split", self, outputs=chunks, axis=dim)


class Product(Value):
    """A linear layer's output before its node is made.

    The sum of two products is one product of both inputs side by side, so that a cell which adds
    the input's to the state's costs one matrix product per step.

    Args:
        graph: where its node will stand.
        parts: inputs with their weights (O, I).
        bias: (O,), or None.
    """

    def __init__(
        self,
        graph: Graph,
        parts: Sequence[tuple[Activation, NDArray[np.float32]]],
        bias: NDArray[np.float32] | None,
    ) -> None:
        super().__init__(graph, "")
        self.parts, self.bias = tuple(parts), bias

    @property
    def name(self) -> str:
        """Its name, making the node when first asked for."""
        if not self._name:
            self._name = self.graph.product(self.parts, self.bias).name
        return self._name

    def __add__(self, other: Value) -> Value:
        if not isinstance(other, Product) or self._name or other._name:
            return super().__add__(other)
        biases = [bias for bias in (self.bias, other.bias) if bias is not None]
        total = sum(biases[1:], biases[0]) if biases else None
        return Product(self.graph, (*self.parts, *other.parts), total)


class Stacked(Value):
    """Values of equal parts of the rows before they are joined; two add up part by part.

    Args:
        graph: where the node will stand.
        parts: from the first rows to the last.
    """

    def __init__(self, graph: Graph, parts: Sequence[Value]) -> None:
        super().__init__(graph, "")
        self.parts = parts

    @property
    def name(self) -> str:
        """Its name, making the node when first asked for."""
        if not self._name:
            self._name = self.graph.concat(self.parts, axis=0).name
        return self._name

    def __add__(self, other: Value) -> Value:
        if not isinstance(other, Stacked) or self._name or other._name:
            return super().__add__(other)
        return Stacked(self.graph, [a + b for a, b in zip(self.parts, other.parts, strict=True)])


class Lookup(Value):
    """Rows of a table before their node is made.

    A product takes the rows of the quantized table, which the runtime quantizes once when it opens
    the graph.

    Args:
        graph: where the node will stand.
        table: of embeddings.
        ids: which rows, (…,).
        factor: that they are multiplied by.
    """

    def __init__(self, graph: Graph, table: Table, ids: Value, factor: float) -> None:
        super().__init__(graph, "")
        self.table, self.ids, self.factor = table, ids, factor

    @property
    def name(self) -> str:
        """Its name, making the node when first asked for."""
        if not self._name:
            self._name = self.graph.op("Gather", self.whole(), self.ids, axis=0).name
        return self._name

    def whole(self) -> Value:
        """The whole table in float32, times the factor: a constant."""
        graph, table = self.graph, self.table
        if graph.precision == "fp32":
            return table.rows if self.factor == 1 else table.rows * self.factor
        scales = (table.scales * np.float32(self.factor))[:, None]
        return graph.op("Cast", table.rows, to=TensorProto.FLOAT) * graph.constant(scales)


class Activation:
    """A product's input: uint8 with a fixed scale in an int8 graph, else the value itself.

    Args:
        value: as products take it.
        scale: what one integer step stands for.
    """

    def __init__(self, value: Value, scale: float) -> None:
        self.value, self.scale = value, scale


class Graph:
    """One graph, or the body of a loop within one.

    Args:
        precision: of the products and tables.
        ranges: for int8: the greatest absolute value of each activation, by its tag.
        parent: the graph around a body; constants are kept there.
    """

    def __init__(
        self,
        precision: ExportPrecision,
        ranges: Mapping[str, float] | None = None,
        *,
        parent: Graph | None = None,
    ) -> None:
        self.precision: ExportPrecision = precision
        self.ranges = ranges or {}
        self.observed: dict[str, Value] = {}  # float values of activations by tag
        self._root = parent._root if parent is not None else self
        self._prefix = "" if parent is None else f"{self._root.fresh('body')}."
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._constants: dict[tuple[Any, ...], onnx.TensorProto] = {}
        self._made: set[str] = set()
        self._renamed: dict[str, str] = {}
        self._count = 0

    # values

    def fresh(self, base: str) -> str:
        """A name that no other value has."""
        self._root._count += 1
        return f"{base}{self._root._count}"

    def op(self, kind: str, *inputs: Value | None, domain: str = "", **attributes: Any) -> Value:
        """A node with one output."""
        return self.ops(kind, *inputs, domain=domain, **attributes)[0]

    def ops(
        self,
        kind: str,
        *inputs: Value | None,
        outputs: int = 1,
        domain: str = "",
        **attributes: Any,
    ) -> tuple[Value, ...]:
        """A node with several outputs."""
        names = [self._prefix + self.fresh(kind.lower()) for _ in range(outputs)]
        self._made |= set(names)
        given = ["" if value is None else value.name for value in inputs]
        self._nodes.append(helper.make_node(kind, given, names, domain=domain, **attributes))
        return tuple(Value(self, name) for name in names)

    def concat(self, values: Sequence[Value], axis: int = -1) -> Value:
        """Values side by side."""
        return self.op("Concat", *values, axis=axis)

    def constant(self, array: NDArray[Any]) -> Value:
        """A constant; equal ones are stored once."""
        root = self._root
        content = np.asarray(array, order="C")  # keeps scalars scalars
        digest = hashlib.sha256(content.tobytes()).digest()
        key = (content.dtype.str, content.shape, digest)
        if key not in root._constants:
            root._constants[key] = numpy_helper.from_array(content, root.fresh("constant"))
        return Value(self, root._constants[key].name)

    def number(self, value: float) -> Value:
        """A float32 scalar."""
        return self.constant(np.array(value, np.float32))

    def constant_int(self, value: int) -> Value:
        """An int64 scalar."""
        return self.constant(np.array(value, np.int64))

    def reshape(self, x: Value, *shape: int) -> Value:
        """Another shape; 0 keeps a dimension, -1 is what is left."""
        return self.op("Reshape", x, self.ints(*shape))

    def ints(self, *values: int) -> Value:
        """A vector of int64."""
        return self.constant(np.array(values, np.int64))

    def input(self, spec: TensorSpec) -> Value:
        """Declare an input."""
        self._inputs.append(_declared(self._prefix + spec.name, spec))
        return Value(self, self._prefix + spec.name)

    def output(self, spec: TensorSpec, value: Value) -> None:
        """Declare a value as an output; in a body its order among the outputs counts."""
        name, own = self._prefix + spec.name, value.name
        self._outputs.append(_declared(name, spec))
        if own in self._made and own not in self._renamed:
            self._renamed[own] = name  # no copy: the node itself gives it
        else:
            self._nodes.append(helper.make_node("Identity", [own], [name]))

    def give(self, spec: GraphSpec, found: Mapping[str, Value]) -> Graph:
        """Declare all outputs of a specification."""
        for output in spec.outputs:
            self.output(output, found[output.name])
        return self

    def observe(self, tag: str, value: Value) -> None:
        """Name a value whose range is that of an activation within a body."""
        self._root.observed[tag] = value

    def scan(
        self, body: Graph, states: Sequence[Value], sequences: Sequence[Value], *, outputs: int
    ) -> tuple[Value, ...]:
        """Run a body over the first dimension of `sequences`, carrying `states`.

        Returns:
            The last states, then `outputs` sequences.
        """
        nodes = body._named_nodes()
        proto = helper.make_graph(nodes, body._prefix, body._inputs, body._outputs)
        total = len(states) + outputs
        return self.ops(
            "Scan", *states, *sequences, outputs=total, body=proto, num_scan_inputs=len(sequences)
        )

    # products

    def activation(self, value: Value, tag: str) -> Activation:
        """A value as products take it.

        Args:
            value: float32.
            tag: names its range; observed on held-out text by the float32 graph.
        """
        self.observed.setdefault(tag, value)
        if self.precision == "fp32":
            return Activation(value, 1.0)
        scale = self.ranges[tag] / LEVELS
        given = value.whole() if isinstance(value, Lookup) else value
        quantized = self.op("QuantizeLinear", given, self.number(scale), self._zero_point())
        if isinstance(value, Lookup):
            quantized = self.op("Gather", quantized, value.ids, axis=0)
        return Activation(quantized, scale)

    def linear(
        self,
        inputs: Sequence[Activation],
        weight: NDArray[np.float32],
        bias: NDArray[np.float32] | None = None,
        *,
        widths: Sequence[int] | None = None,
    ) -> Product:
        """`x @ weight.T + bias` of inputs side by side, as a product that may join others.

        Args:
            inputs: of widths that add up to I.
            weight: (O, I).
            bias: (O,).
            widths: of the inputs, where they differ.
        """
        bounds = np.cumsum(widths)[:-1] if widths else len(inputs)
        parts = np.split(weight, bounds, axis=1)
        return Product(self, list(zip(inputs, parts, strict=True)), bias)

    def product(
        self,
        parts: Sequence[tuple[Activation, NDArray[np.float32]]],
        bias: NDArray[np.float32] | None,
    ) -> Value:
        """The node of a product; use `linear`."""
        values = [activation.value for activation, _ in parts]
        joined = values[0] if len(values) == 1 else self.op("Concat", *values, axis=-1)
        if self.precision == "fp32":
            weight = np.concatenate([weight for _, weight in parts], 1)
            out = self.op("MatMul", joined, self.constant(weight.T))
            return out if bias is None else self.op("Add", out, self.constant(bias))
        # each input's scale goes into its weights: one integer product then adds them all
        scaled = np.concatenate([a.scale * w.astype(np.float64) for a, w in parts], 1)
        integers, scales = quantize_rows(scaled)
        return self._integer_product(joined, self.constant(integers.T), scales, bias)

    def table_product(
        self, x: Value, tag: str, table: Table, bias: NDArray[np.float32] | None
    ) -> Value:
        """Products with every row of a table: an output layer whose weights are embeddings."""
        activation = self.activation(x, tag)
        transposed = self.op("Transpose", table.rows, perm=[1, 0])
        if self.precision == "fp32":
            out = self.op("MatMul", activation.value, transposed)
            return out if bias is None else self.op("Add", out, self.constant(bias))
        scales = (activation.scale * table.scales.astype(np.float64)).astype(np.float32)
        return self._integer_product(activation.value, transposed, scales, bias)

    def _integer_product(
        self,
        x: Value,
        weight: Value,
        scales: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
    ) -> Value:
        return self.op(
            "MatMulIntegerToFloat",
            x,
            weight,
            self.number(1.0),
            self.constant(scales),
            self._zero_point(),
            *(() if bias is None else (None, self.constant(bias))),
            domain="com.microsoft",
        )

    def table(self, weight: NDArray[np.float32]) -> Table:
        """An embedding table (V, E), in an int8 graph with a scale per row."""
        if self.precision == "fp32":
            return Table(self.constant(weight), np.ones(len(weight), np.float32))
        integers, scales = quantize_rows(weight.astype(np.float64))
        return Table(self.constant(integers), scales)

    def look_up(self, table: Table, ids: Value, factor: float) -> Lookup:
        """Rows of a table times a factor, (…, E)."""
        return Lookup(self, table, ids, factor)

    def layer_norm(
        self, x: Value, weight: NDArray[np.float32], bias: NDArray[np.float32], epsilon: float
    ) -> Value:
        """Layer normalization over the last dimension."""
        constants = (self.constant(weight), self.constant(bias))
        return self.op("LayerNormalization", x, *constants, axis=-1, epsilon=epsilon)

    def _zero_point(self) -> Value:
        return self.constant(np.array(ZERO_POINT, np.uint8))

    def _named_nodes(self) -> list[onnx.NodeProto]:
        """The nodes, those that give an output under its name."""
        renamed = self._renamed
        nodes: list[onnx.NodeProto] = []
        for node in self._nodes:
            named = onnx.NodeProto()
            named.CopyFrom(node)
            named.input[:] = [renamed.get(name, name) for name in node.input]
            named.output[:] = [renamed.get(name, name) for name in node.output]
            nodes.append(named)
        return nodes

    def serialize(self, *, observing: bool = False) -> bytes:
        """The model's file.

        Args:
            observing: every activation is an output too, under its tag.
        """
        outputs, nodes = list(self._outputs), self._named_nodes()
        if observing:
            for tag, value in self.observed.items():
                name = self._renamed.get(value.name, value.name)
                nodes.append(helper.make_node("Identity", [name], [tag]))
                outputs.append(helper.make_tensor_value_info(tag, TensorProto.FLOAT, None))
        graph = helper.make_graph(
            nodes, "penstock", self._inputs, outputs, list(self._constants.values())
        )
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="penstock")
        model.ir_version = IR_VERSION
        return model.SerializeToString(deterministic=True)


class Table:
    """An embedding table.

    Args:
        rows: (V, E), integers in an int8 graph.
        scales: (V,) what one integer step of each row stands for.
    """

    def __init__(self, rows: Value, scales: NDArray[np.float32]) -> None:
        self.rows, self.scales = rows, scales


def quantize_rows(weight: NDArray[np.float64]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Weights (O, I) as integers of at most `WEIGHT_LIMIT`, and each row's scale (O,)."""
    greatest = np.abs(weight).max(1)
    scales = np.where(greatest > 0, greatest / WEIGHT_LIMIT, 1.0).astype(np.float32)
    integers = np.rint(weight / scales[:, None].astype(np.float64))
    return np.clip(integers, -WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int8), scales


def _declared(name: str, spec: TensorSpec) -> onnx.ValueInfoProto:
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
    return helper.make_tensor_value_info(name, dtype, list(spec.shape))
