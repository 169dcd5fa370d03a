"""Recurrent layers in a graph: one step, or a whole padded batch of sequences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from torch import Tensor, nn

from penstock.errors import UsageError
from penstock.export.graph_builder import Activation, Graph, Stacked, Value
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


def cell_step(
    graph: Graph, cells: Sequence[Cell], products: Value, before: CellState, tag: str
) -> Named:
    """One step of a cell, by its own equations.

    Args:
        graph: where its nodes go.
        cells: the weights; of several, each has an equal part of the rows.
        products: from `input_products`, (N, G·H).
        before: the state, (N, H) each.
        tag: of the state's activation.

    Returns:
        What the equations name, (N, H) each.
    """

    def from_state(h: Value) -> Value:
        activation = graph.activation(h, tag)
        if len(cells) == 1:
            return _state_products(graph, cells[0], activation)
        parts = graph.ops("Split", activation.value, outputs=len(cells), axis=0)
        own = [
            _state_products(graph, cell, Activation(part, activation.scale))
            for cell, part in zip(cells, parts, strict=True)
        ]
        return Stacked(graph, own)

    return cells[0].spec.equations(products, before.get("h"), before.get("c"), from_state)


def _state_products(graph: Graph, cell: Cell, h: Activation) -> Value:
    assert cell.weight_hh is not None
    bias = None if cell.bias_hh is None else array(cell.bias_hh)
    return _normalized(graph, graph.linear([h], array(cell.weight_hh), bias), cell.norm_hh)


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
        named = cell_step(graph, [cell], products, state, f"{place}.h")
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
    """A stack over padded sequences; padding changes no real position.

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
        named = _run_layer(
            graph, own, x, lengths, f"{tag}.{layer}", before, everything=traced is not None
        )
        if traced is not None:
            traced += named
        outputs: list[Value] = []
        for each in named:
            turned = {
                p: reversed_rows(graph, v, lengths) for p, v in state_after(own[0], each).items()
            }
            # the first of a reversed row is its last
            finals.append(
                {p: graph.op("Gather", v, graph.constant_int(0)) for p, v in turned.items()}
            )
            outputs.append(turned["h"] if outputs else each["hidden"])
        joined = graph.op("Where", alive, _beside(graph, outputs, -1), graph.number(0.0))
        if recurrent.residual and own[0].input_size == recurrent.output_size:
            joined = joined + x * real
        x = joined
    return x, finals


def _run_layer(
    graph: Graph,
    cells: Sequence[Cell],
    x: Value,
    lengths: Value,
    tag: str,
    initial: Sequence[CellState] | None,
    *,
    everything: bool,
) -> list[Named]:
    """One layer, a loop over positions; the backward direction reads reversed rows beside the rest.

    The loop goes on over padding, which stands behind every row's real positions.

    Returns:
        The states, or everything that the equations name, (S, B, H), for each direction in the
        order that it reads.
    """
    activation = graph.activation(x, f"{tag}.x")
    products = [input_products(graph, cells[0], [activation], [x])]
    if len(cells) == 2:
        turned = Activation(reversed_rows(graph, activation.value, lengths), activation.scale)
        below = [reversed_rows(graph, x, lengths)] if cells[1].passes_input else []
        products.append(input_products(graph, cells[1], [turned], below))
    parts = state_parts(cells[0])
    if initial is None:
        rows = graph.op("Shape", lengths) * graph.constant_int(len(cells))
        shape = graph.concat([rows, graph.ints(cells[0].hidden_size)], axis=0)
        first = [graph.op("ConstantOfShape", shape)] * len(parts)
    else:
        first = [_beside(graph, [state[part] for state in initial], 0) for part in parts]
    body = Graph(graph.precision, graph.ranges, parent=graph)
    size = (f"{len(cells)}B", cells[0].hidden_size)  # a name means one number in all the graph
    before = {part: body.input(TensorSpec(part, "float32", size)) for part in parts}
    width = cells[0].products_size
    own = [body.input(TensorSpec(f"x{i}", "float32", ("B", width))) for i in range(len(cells))]
    x_products = own[0] if len(own) == 1 else Stacked(body, own)
    named = cell_step(body, cells, x_products, before, f"{tag}.h")
    after = state_after(cells[0], named)
    for part in parts:
        body.output(TensorSpec(f"{part}_next", "float32", size), after[part])
    if not everything:
        named = {STATE_NAMES[part]: after[part] for part in parts}
    for name, value in named.items():
        body.output(TensorSpec(name, "float32", size), value)
    found = graph.scan(body, first, products, outputs=len(named))
    outputs = dict(zip(named, found[len(parts) :], strict=True))
    graph.observe(f"{tag}.h", outputs["hidden"])
    if len(cells) == 1:
        return [outputs]
    split = {n: graph.ops("Split", v, outputs=len(cells), axis=1) for n, v in outputs.items()}
    return [{name: split[name][i] for name in named} for i in range(len(cells))]


def _beside(graph: Graph, values: Sequence[Value], axis: int) -> Value:
    return values[0] if len(values) == 1 else graph.concat(values, axis=axis)


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
