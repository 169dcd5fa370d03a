"""Recurrent layers in a graph: one step, or a whole padded batch of sequences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from torch import Tensor, nn

from penstock.errors import UsageError
from penstock.export.graph_builder import Activation, Graph, Value
from penstock.nn.cells import Cell
from penstock.nn.embedding import TokenEmbedding
from penstock.nn.recurrent import Recurrent
from penstock.runtime.onnx.interface import STATE_NAMES, TensorSpec

CellState = dict[str, Value]  # `h`, and `c` where the cell has one
Named = dict[str, Value]  # every gate, candidate and state of a cell's equations, by name


def array(tensor: Tensor) -> NDArray[np.float32]:
    """A parameter as a float32 array."""
    return tensor.detach().float().cpu().numpy()


def linear_layer(graph: Graph, inputs: Sequence[Value], layer: nn.Linear, tag: str) -> Value:
    """A linear layer of inputs side by side; their activations are `tag`.0, `tag`.1 …"""
    activations = [graph.activation(x, f"{tag}.{i}") for i, x in enumerate(inputs)]
    own = {name: array(parameter) for name, parameter in layer.named_parameters()}
    return graph.linear(activations, own["weight"], own.get("bias"))


def embedded(graph: Graph, embedding: nn.Module, tokens: Value) -> Value:
    """Ids to vectors (…, E).

    Raises:
        UsageError: a pretrained Transformer stands in the embedding's place.
    """
    if not isinstance(embedding, TokenEmbedding):
        raise UsageError(
            "model.transformer: a pretrained Transformer encoder cannot be exported; train with "
            "embeddings of our own, or use the model with --engine torch"
        )
    return graph.look_up(graph.table(array(embedding.weight)), tokens, embedding.factor)


def state_parts(cell: Cell) -> tuple[str, ...]:
    """What the state of a cell has: `h`, and `c` where it has one."""
    return ("h", "c") if cell.spec.has_cell else ("h",)


def input_products(
    graph: Graph,
    cell: Cell,
    inputs: Sequence[Activation],
    values: Sequence[Value] = (),
    *,
    widths: Sequence[int] | None = None,
) -> Value:
    """What a cell's equations take of its input, (…, G·H).

    Args:
        graph: where its nodes go.
        cell: its weights.
        inputs: side by side the cell's input.
        values: the same before quantization, for a highway.
        widths: of the inputs, where they differ.
    """
    products = graph.linear(inputs, array(cell.weight_ih), array(cell.bias_ih), widths=widths)
    x = _normalized(graph, products, cell.norm_ih)
    return graph.concat([x, *values]) if cell.passes_input else x


def cell_step(graph: Graph, cell: Cell, products: Value, before: CellState, tag: str) -> Named:
    """One step of a cell, by its own equations.

    Args:
        graph: where its nodes go.
        cell: its weights.
        products: from `input_products`, (N, G·H).
        before: the state, (N, H) each.
        tag: of the state's activation.

    Returns:
        What the equations name, (N, H) each.
    """
    weight_hh = None if cell.weight_hh is None else array(cell.weight_hh)
    bias_hh = None if cell.bias_hh is None else array(cell.bias_hh)

    def from_state(h: Value) -> Value:
        assert weight_hh is not None
        product = graph.linear([graph.activation(h, tag)], weight_hh, bias_hh)
        return _normalized(graph, product, cell.norm_hh)

    return cell.spec.equations(products, before.get("h"), before.get("c"), from_state)


def state_after(cell: Cell, named: Named) -> CellState:
    """The state among what a cell's equations name."""
    return {part: named[STATE_NAMES[part]] for part in state_parts(cell)}


def _normalized(graph: Graph, x: Value, norm: nn.Module) -> Value:
    if not isinstance(norm, nn.LayerNorm):
        return x
    return graph.layer_norm(x, array(norm.weight), array(norm.bias), norm.eps)


def step_layers(
    graph: Graph,
    recurrent: Recurrent,
    inputs: Sequence[Value],
    before: Sequence[CellState],
    tag: str,
    *,
    widths: Sequence[int] | None = None,
) -> tuple[Value, list[Named]]:
    """One step through a stack in one direction.

    Args:
        graph: where its nodes go.
        recurrent: the stack.
        inputs: side by side the first layer's input, (N, ·) each.
        before: each layer's state.
        tag: of the activations.
        widths: of the inputs, where they differ.

    Returns:
        The last layer's output (N, H), and what each layer's equations name.
    """
    layers: list[Named] = []
    for index, (cell, state) in enumerate(zip(recurrent.list_cells(), before, strict=True)):
        place = f"{tag}.{index}"
        activations = [graph.activation(x, f"{place}.x{i}") for i, x in enumerate(inputs)]
        products = input_products(graph, cell, activations, inputs, widths=widths)
        named = cell_step(graph, cell, products, state, f"{place}.h")
        hidden = named["hidden"]
        if recurrent.residual and cell.input_size == cell.hidden_size:
            hidden = hidden + (inputs[0] if len(inputs) == 1 else graph.concat(inputs))
        layers.append(named)
        inputs, widths = [hidden], None
    return inputs[0], layers


def run_layers(
    graph: Graph,
    recurrent: Recurrent,
    x: Value,
    lengths: Value,
    tag: str,
    *,
    initial: Sequence[CellState] | None = None,
    traced: list[Named] | None = None,
) -> tuple[Value, list[CellState]]:
    """A stack over padded sequences; padding is never read.

    Args:
        graph: where its nodes go.
        recurrent: the stack.
        x: (S, B, I).
        lengths: (B,).
        tag: of the activations.
        initial: each cell's state before the first token, (B, H); default: zeros.
        traced: where to put what each cell's equations name, (S, B, H), the backward direction's in
            the order that it reads; layer by layer, forward before backward.

    Returns:
        Outputs (S, B, D·H), zero at padding; the state after each row's last token, layer by
        layer, forward before backward.
    """
    alive = real_positions(graph, x, lengths)
    real = graph.op("Cast", alive, to=TensorProto.FLOAT)
    cells, directions = recurrent.list_cells(), recurrent.directions
    finals: list[CellState] = []
    for layer in range(recurrent.num_layers):
        own = cells[layer * directions : (layer + 1) * directions]
        before = None if initial is None else initial[layer * directions : (layer + 1) * directions]
        outputs, states = _run_layer(
            graph, own, x, lengths, alive, f"{tag}.{layer}", before, traced
        )
        finals += states
        joined = outputs[0] if len(outputs) == 1 else graph.concat(outputs)
        if recurrent.residual and own[0].input_size == recurrent.output_size:
            joined = joined + x * real
        x = joined
    return x, finals


def _run_layer(
    graph: Graph,
    cells: Sequence[Cell],
    x: Value,
    lengths: Value,
    alive: Value,
    tag: str,
    initial: Sequence[CellState] | None,
    traced: list[Named] | None,
) -> tuple[list[Value], list[CellState]]:
    """One layer in each direction, a loop over positions; the backward one reads reversed rows.

    The loop's products join the input's and the state's. Without recurrent weights, products are
    made before the loop, of all positions at once.
    """
    size, ahead = cells[0].hidden_size, not cells[0].spec.recurrent_weights
    activation = graph.activation(x, f"{tag}.x")
    sequences = [
        input_products(graph, cell, [activation], [x]) if ahead else activation.value
        for cell in cells
    ]
    if len(cells) == 2:
        sequences[1] = reversed_rows(graph, sequences[1], lengths)
    parts = state_parts(cells[0])
    if initial is None:
        batch = graph.op("Shape", lengths)
        shape = graph.concat([batch, graph.ints(size)], axis=0)
        first = [graph.op("ConstantOfShape", shape)] * (len(cells) * len(parts))
    else:
        first = [state[part] for state in initial for part in parts]
    body = Graph(graph.precision, graph.ranges, parent=graph)
    names = [f"{part}{i}" for i in range(len(cells)) for part in parts]  # as `first`
    before = {name: body.input(TensorSpec(name, "float32", ("B", size))) for name in names}
    dtype = "uint8" if graph.precision == "int8" and not ahead else "float32"
    inputs = [
        body.input(
            TensorSpec(f"x{i}", dtype, ("B", cell.products_size if ahead else cell.input_size))
        )
        for i, cell in enumerate(cells)
    ]
    real = body.input(TensorSpec("alive", "bool", ("B", 1)))
    zero = graph.number(0.0)
    after: dict[str, Value] = {}
    outputs: list[Value] = []
    shown: list[Named] = []
    for i, cell in enumerate(cells):
        state = {part: before[f"{part}{i}"] for part in parts}
        place = f"{tag}.h{i}"
        own_input = Activation(inputs[i], activation.scale)
        products = inputs[i] if ahead else input_products(body, cell, [own_input])
        named = cell_step(body, cell, products, state, place)
        new = state_after(cell, named)
        after |= {f"{p}{i}": body.op("Where", real, new[p], state[p]) for p in parts}
        outputs.append(body.op("Where", real, named.pop("hidden"), zero))
        shown.append(named if traced is not None else {})
    for name in names:
        body.output(TensorSpec(f"{name}_next", "float32", ("B", size)), after[name])
    for i, output in enumerate(outputs):
        body.output(TensorSpec(f"y{i}", "float32", ("B", size)), output)
    keys = [(i, name) for i, named in enumerate(shown) for name in named]
    for i, name in keys:
        body.output(TensorSpec(f"{name}{i}", "float32", ("B", size)), shown[i][name])
    count = len(outputs) + len(keys)
    found = graph.scan(body, first, [*sequences, alive], outputs=count)
    results = list(found[len(names) : len(names) + len(outputs)])
    if traced is not None:
        for i, output in enumerate(results):
            own = zip(keys, found[len(names) + len(outputs) :], strict=True)
            traced.append({"hidden": output, **{name: v for (j, name), v in own if j == i}})
    finals = [
        {part: found[i * len(parts) + j] for j, part in enumerate(parts)} for i in range(len(cells))
    ]
    for i, output in enumerate(results):
        graph.observe(f"{tag}.h{i}", output)
    if len(results) == 2:
        results[1] = reversed_rows(graph, results[1], lengths)
    return results, finals


def real_positions(graph: Graph, x: Value, lengths: Value) -> Value:
    """Which positions of x (S, B, ·) are real tokens, (S, B, 1) bool."""
    size = graph.op("Gather", graph.op("Shape", x), graph.constant_int(0))
    positions = graph.op("Range", graph.constant_int(0), size, graph.constant_int(1))
    return graph.op(
        "Less",
        graph.op("Unsqueeze", positions, graph.ints(1, 2)),
        graph.op("Unsqueeze", lengths, graph.ints(0, 2)),
    )


def reversed_rows(graph: Graph, x: Value, lengths: Value) -> Value:
    """x (S, B, ·) with each row's positions from last to first; padding stays where it is."""
    return graph.op("ReverseSequence", x, lengths, time_axis=0, batch_axis=1)
