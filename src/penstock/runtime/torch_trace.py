"""The values of every gate, candidate and state while a source is read and an output written.

The model's layers are stepped through by the cells' own equations (`Cell.trace`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from penstock.nn import Seq2Seq, State
from penstock.nn.cells import Cell
from penstock.nn.recurrent import Recurrent
from penstock.runtime.network_trace import LayerTrace, NetworkTrace
from penstock.special_tokens import BOS_ID


@dataclass(frozen=True, slots=True)
class Traced:
    """A cell's values over N tokens, in the order of the text.

    Attributes:
        cell: the one traced.
        layer: from 0.
        reverse: it reads from the last token to the first.
        values: by the names of `Cell.trace`, (N, U).
    """

    cell: Cell
    layer: int
    reverse: bool
    values: Mapping[str, Tensor]

    def on(self, side: Literal["encoder", "decoder"]) -> LayerTrace:
        """The same as numpy arrays."""
        values = {name: x.float().cpu().numpy() for name, x in self.values.items()}
        return LayerTrace(side, self.layer, self.reverse, self.cell.spec.name, values)


@torch.no_grad()
def trace_network(model: Seq2Seq, source: Sequence[int], output: Sequence[int]) -> NetworkTrace:
    """Run the model's own modules over a source and an output.

    Args:
        model: in evaluation mode.
        source: S ids, EOS last.
        output: T ids, EOS last; BOS and all but the last are read.
    """
    device = _device(model)
    src, lengths = torch.tensor([source], device=device), torch.tensor([len(source)])
    tgt_in = torch.tensor([[BOS_ID, *output[:-1]]], device=device)
    memory, state = model.encode(src, lengths)
    features = model.decoder.features(tgt_in, state, memory)
    logits = model.decoder.output(features.values)[0].float()
    weights = features.weights
    return NetworkTrace(
        torch.log_softmax(logits, -1).cpu().numpy(),
        None if weights is None else weights[0].float().cpu().numpy(),
        [
            *(traced.on("encoder") for traced in trace_encoder(model, source)),
            *(traced.on("decoder") for traced in trace_decoder(model, source, output)[1]),
        ],
    )


def trace_recurrent(
    recurrent: Recurrent, inputs: Tensor, state: State | None = None
) -> tuple[Tensor, list[Traced]]:
    """Step through a stack in evaluation mode.

    Args:
        recurrent: the stack.
        inputs: (N, I) of one sequence.
        state: (L·D, 1, H) before the first token; zeros when None.

    Returns:
        Its outputs (N, D·H), as its forward gives them, and the values of its cells, layer by
        layer, forward before backward.
    """
    traced: list[Traced] = []
    for layer in range(recurrent.num_layers):
        outputs: list[Tensor] = []
        for direction in range(recurrent.directions):
            index = layer * recurrent.directions + direction
            cell = recurrent.cells[index]
            assert isinstance(cell, Cell)
            before = cell.zero_state(1, inputs) if state is None else state.layer(index)
            values = _trace_cell(cell, inputs, before, reverse=direction == 1)
            traced.append(Traced(cell, layer, direction == 1, values))
            outputs.append(values["hidden"])
        joined = torch.cat(outputs, -1)
        if recurrent.residual and joined.shape == inputs.shape:
            joined = joined + inputs
        inputs = joined
    return inputs, traced


def trace_encoder(model: Seq2Seq, source: Sequence[int]) -> list[Traced]:
    """The encoder's cells over S source ids, EOS last."""
    encoder = model.encoder
    src = torch.tensor([source], device=_device(model))
    return trace_recurrent(encoder.recurrent, encoder.embedding(src)[0])[1]


def trace_decoder(
    model: Seq2Seq, source: Sequence[int], output: Sequence[int]
) -> tuple[Tensor, list[Traced]]:
    """What the decoder knows at each of T positions, (T, ·), and its cells.

    Args:
        model: in evaluation mode.
        source: S ids, EOS last.
        output: T ids, EOS last; BOS and all but the last are read.

    Returns:
        The top hidden state (without attention), or it beside the context, before the readout.
    """
    decoder, device = model.decoder, _device(model)
    src, lengths = torch.tensor([source], device=device), torch.tensor([len(source)])
    memory, state = model.encode(src, lengths)
    read = torch.tensor([BOS_ID, *output[:-1]], device=device)
    x = decoder.embedding(read)  # (T, E)
    if decoder.attention is None:
        context = memory.context.expand(len(x), -1)
        return trace_recurrent(decoder.bottom, torch.cat([x, context], -1), state)
    assert memory.keys is not None
    hidden, traced = trace_recurrent(decoder.bottom, x, state)
    context = decoder.attention(hidden[None], memory.keys, memory.values, memory.mask)[0][0]
    if decoder.upper is not None:
        upper = State(state.h[1:], None if state.c is None else state.c[1:])
        both = torch.cat([hidden, context], -1)
        hidden, above = trace_recurrent(decoder.upper, both, upper)
        traced += [Traced(t.cell, t.layer + 1, t.reverse, t.values) for t in above]
    return torch.cat([hidden, context], -1), traced


def _trace_cell(cell: Cell, inputs: Tensor, state: State, *, reverse: bool) -> dict[str, Tensor]:
    steps: list[dict[str, Tensor]] = []
    for x in inputs.flip(0) if reverse else inputs:
        state, named = cell.trace(x[None], state)
        steps.append(named)
    ordered = steps[::-1] if reverse else steps
    return {name: torch.cat([named[name] for named in ordered]) for name in ordered[0]}


def _device(model: Seq2Seq) -> torch.device:
    return model.decoder.output.weight.device
