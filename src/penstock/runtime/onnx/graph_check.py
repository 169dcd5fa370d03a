"""Reject an ONNX file that penstock did not write, before anything of it runs.

ONNX is protobuf. These few lines read what the check needs, so that running a model needs no ONNX
package. Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import numpy as np

from penstock.errors import BundleError
from penstock.runtime.onnx.interface import IR_VERSION, OPSETS, GraphSpec, TensorSpec, is_trace

# fmt: off
OPERATORS = frozenset((
    "Add", "Cast", "Concat", "ConstantOfShape", "Div", "Expand", "Gather", "GatherElements",
    "GatherND", "Identity", "LayerNormalization", "Less", "LogSoftmax", "MatMul", "Min", "Mod",
    "Mul", "Pad", "QuantizeLinear", "Range", "ReduceMax", "ReduceSum", "Relu", "Reshape",
    "ReverseSequence", "Scan", "Shape", "Sigmoid", "Slice", "Softmax", "Split", "Squeeze", "Sub",
    "Sum", "Tanh", "TopK", "Transpose", "Unsqueeze", "Where",
))
# fmt: on
RUNTIME_OPERATORS = frozenset(["MatMulIntegerToFloat"])  # of domain com.microsoft
_FLOAT32 = 1
_ELEMENT_TYPES = {_FLOAT32: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool"}
_MAX_NODES = 5000

Field = int | memoryview | bytes  # a number, what has a length, or a number of fixed size
Message = dict[int, list[Field]]


class _Malformed(Exception):
    """The bytes are not a protobuf message of the expected form."""


def check_graph(content: bytes, *, place: str, specs: tuple[GraphSpec, ...]) -> GraphSpec:
    """Check a model file.

    Args:
        content: its bytes.
        place: what it is called in messages.
        specs: the inputs and outputs that it may have, besides traces.

    Returns:
        The one of `specs` that it has.

    Raises:
        BundleError: it is damaged, or has something that penstock never writes.
    """
    try:
        return _check_model(_message(memoryview(content)), place, specs)
    except (_Malformed, UnicodeDecodeError) as error:
        raise BundleError(
            f"{place}: not an ONNX graph ({error}); restore it, or export the model again"
        ) from None


def _check_model(model: Message, place: str, specs: tuple[GraphSpec, ...]) -> GraphSpec:
    version = _number(model, 1)
    if version != IR_VERSION:
        hint = "upgrade penstock" if version > IR_VERSION else "export the model again"
        _reject(place, f"ONNX format {version}, expected {IR_VERSION}; {hint}")
    found = [(_text(o, 1), _number(o, 2)) for o in map(_message, _all_bytes(model, 8))]
    for domain, number in found:
        known = OPSETS.get(domain)
        if known is None:
            _reject(place, f"operators of domain {domain!r}; do not use this bundle")
        if number != known:
            hint = "upgrade penstock" if number > known else "export the model again"
            _reject(place, f"operator set {domain or 'ai.onnx'} {number}, expected {known}; {hint}")
    if sorted(domain for domain, _ in found) != sorted(OPSETS):
        raise _Malformed(f"{len(found)} operator sets, expected one of each domain")
    for field, what in ((20, "training information"), (25, "functions of its own")):
        if model.get(field):
            _reject(place, f"{what}; do not use this bundle")
    graph = _only(model, 7)
    _check_nodes(graph, place, inside="")
    outputs = (output for output in _tensors(graph, 12) if not is_trace(output))
    declared = GraphSpec(_tensors(graph, 11), tuple(outputs))
    for spec in specs:
        if spec == declared:
            return spec
    _reject(place, f"{_difference(declared, specs[0])}; take both from one export")


def _check_nodes(graph: Message, place: str, *, inside: str) -> None:
    if len(graph.get(1, [])) > _MAX_NODES:
        _reject(place, f"{len(graph[1])} nodes, at most {_MAX_NODES}; do not use this bundle")
    for node in map(_message, _all_bytes(graph, 1)):
        kind, domain = _text(node, 4), _text(node, 7)
        known = {"": OPERATORS, "com.microsoft": RUNTIME_OPERATORS}.get(domain, frozenset[str]())
        if kind not in known or (inside and kind == "Scan"):
            where = f" within a {inside}" if inside else ""
            name = f"{domain}.{kind}" if domain else kind
            _reject(place, f"operator {name}{where}, which penstock never writes; do not use it")
        for attribute in map(_message, _all_bytes(node, 5)):
            bodies = [*_all_bytes(attribute, 6), *_all_bytes(attribute, 11)]
            if bodies and (kind != "Scan" or _text(attribute, 1) != "body" or len(bodies) != 1):
                _reject(place, f"a graph inside operator {kind}; do not use this bundle")
            for tensor in (*_all_bytes(attribute, 5), *_all_bytes(attribute, 10)):
                _check_tensor(_message(tensor), place)
            if attribute.get(22) or attribute.get(23):  # sparse tensors
                _reject(place, f"a sparse tensor in operator {kind}; do not use this bundle")
            for body in bodies:
                _check_nodes(_message(body), place, inside="Scan")
    for tensor in _all_bytes(graph, 5):
        _check_tensor(_message(tensor), place)
    if graph.get(15):
        _reject(place, "sparse tensors; do not use this bundle")


def _check_tensor(tensor: Message, place: str) -> None:
    if tensor.get(13) or _number(tensor, 14):
        _reject(
            place,
            f"tensor {_text(tensor, 8)!r} is kept in another file; a bundle's graphs are whole: "
            "do not use this bundle",
        )
    if _number(tensor, 2) == _FLOAT32:
        for content in (*_all_bytes(tensor, 9), *_all_bytes(tensor, 4)):  # raw or packed
            if len(content) % 4:
                raise _Malformed(f"tensor {_text(tensor, 8)!r} of {len(content)} bytes")
            numbers = np.frombuffer(content, "<f4")
            is_mask = len(numbers) == 1 and numbers[0] == -np.inf
            if not is_mask and not np.isfinite(numbers).all():
                _reject(
                    place,
                    f"tensor {_text(tensor, 8)!r} has numbers that are not finite; restore it, or "
                    "export the model again",
                )


def _difference(declared: GraphSpec, expected: GraphSpec) -> str:
    """The first input or output that is not as expected."""
    for what, found, wanted in (
        ("input", declared.inputs, expected.inputs),
        ("output", declared.outputs, expected.outputs),
    ):
        for i in range(max(len(found), len(wanted))):
            here = found[i] if i < len(found) else None
            there = wanted[i] if i < len(wanted) else None
            if here != there:
                return f"{what} {i + 1} is {_described(here)}, expected {_described(there)}"
    return "inputs and outputs differ"


def _described(spec: TensorSpec | None) -> str:
    if spec is None:
        return "none"
    return f"{spec.name} {spec.dtype} ({', '.join(map(str, spec.shape))})"


def _tensors(graph: Message, field: int) -> tuple[TensorSpec, ...]:
    return tuple(_tensor_spec(_message(value)) for value in _all_bytes(graph, field))


def _tensor_spec(value: Message) -> TensorSpec:
    """Of a ValueInfoProto: name, type.tensor_type.elem_type, type.tensor_type.shape.dim."""
    kind = _only(value, 2)
    tensor = _only(kind, 1)
    shape_of = _only(tensor, 2) if tensor.get(2) else {}
    dimensions = [_message(dimension) for dimension in _all_bytes(shape_of, 1)]
    if any(len(choice) > 1 for choice in (kind, *dimensions)):  # the last would count
        raise _Malformed("a type or dimension with two values")
    shape = tuple(
        _text(dimension, 2) if dimension.get(2) else _number(dimension, 1)
        for dimension in dimensions
    )
    return TensorSpec(_text(value, 1), _ELEMENT_TYPES.get(_number(tensor, 1), "?"), shape)


def _reject(place: str, what: str) -> NoReturn:
    raise BundleError(f"{place}: {what}")


# protobuf, as penstock writes it. Other parsers pass over, cut off or merge what is written
# otherwise; we reject it, so that the runtime reads nothing that was not checked.


def _message(content: memoryview) -> Message:
    fields: Message = {}
    for number, value in _fields(content):
        fields.setdefault(number, []).append(value)
    return fields


def _fields(content: memoryview) -> Iterator[tuple[int, Field]]:
    at = 0
    while at < len(content):
        start = at
        key, at = _varint(content, at)
        number, wire = key >> 3, key & 7
        if not 1 <= number < 1 << 29:
            raise _Malformed(f"field {number} at byte {start}")
        if wire == 0:
            value, at = _varint(content, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(content, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise _Malformed(f"wire type {wire} at byte {start}")
        if at + size > len(content):
            raise _Malformed(f"cut off at byte {len(content)}")
        yield number, content[at : at + size] if wire == 2 else bytes(content[at : at + size])
        at += size


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(content):
            raise _Malformed(f"cut off at byte {at}")
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if not byte & 0x80:
            if (shift and not byte) or value >> 64:
                raise _Malformed(f"a number not in its only form at byte {at}")
            return value, at
        shift += 7
        if shift > 63:
            raise _Malformed(f"a number too long at byte {at}")


def _all_bytes(message: Message, field: int) -> Iterator[memoryview]:
    for value in message.get(field, []):
        if not isinstance(value, memoryview):
            raise _Malformed(f"field {field} is a number")
        yield value


def _single(message: Message, field: int) -> Field | None:
    """A field that may be left out but not repeated: others take the last, or merge them."""
    values = message.get(field, [])
    if len(values) > 1:
        raise _Malformed(f"field {field} occurs {len(values)} times, expected once")
    return values[0] if values else None


def _only(message: Message, field: int) -> Message:
    value = _single(message, field)
    if not isinstance(value, memoryview):
        raise _Malformed(f"field {field} is missing or a number")
    return _message(value)


def _text(message: Message, field: int) -> str:
    value = _single(message, field)
    if value is None:
        return ""
    if not isinstance(value, memoryview):
        raise _Malformed(f"field {field} is a number")
    return str(value, "utf-8")


def _number(message: Message, field: int) -> int:
    value = _single(message, field)
    if value is None:
        return 0
    if not isinstance(value, int):
        raise _Malformed(f"field {field} is no number")
    return value
