"""A translation model prepacked for inference: encode once, then step.

The function is that of `Seq2Seq` in evaluation mode. What differs is how it is computed: no graph,
few large products, the hypotheses of a sentence attend together so that its memory is never
copied, and rows are padded to numbers that make each the same in any batch
(`batch_invariant_rows`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from penstock.nn.products import PackedLinear, batch_invariant_rows
from penstock.nn.seq2seq import Seq2Seq
from penstock.nn.state import Memory, State
from penstock.runtime.packed_layers import PackedStep, packed_layers

_WIDTH = 16  # sources are this wide or a multiple: shorter rows are summed in another order


@dataclass(frozen=True, slots=True)
class Places:
    """Where the rows of a step stand when the rows of a sentence are side by side.

    Attributes:
        sentences: how many, b.
        width: rows per sentence, W.
        rows: (b·W,) the row at each place; any row where there is none. None: row n is place n.
        places: (N,) the place of each row.
    """

    sentences: int
    width: int
    rows: Tensor | None
    places: Tensor | None


class InferenceModel:
    """A snapshot of a model's weights, for inference without gradients.

    Args:
        model: in evaluation mode; later changes of its weights do not show here.
        precision: `fp32` computes in the weights' own type; `bf16` makes products in bfloat16.
    """

    def __init__(self, model: Seq2Seq, *, precision: Literal["fp32", "bf16"] = "fp32") -> None:
        self.model = model
        decoder = model.decoder
        weight = decoder.output.weight.detach()
        self.kind = torch.bfloat16 if precision == "bf16" else weight.dtype
        self._embedding = decoder.embedding
        self._steps = [PackedStep(cell, self.kind) for cell in decoder.bottom.list_cells()]
        self._bottom = len(self._steps)
        if decoder.upper is not None:
            self._steps += [PackedStep(cell, self.kind) for cell in decoder.upper.list_cells()]
        self._residual = decoder.bottom.residual
        self._attention = decoder.attention
        self._readout = None if decoder.readout is None else self._linear(decoder.readout)
        self._output = self._linear(decoder.output)
        self._encoder = packed_layers(model.encoder.recurrent, self.kind)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self._output.weight.device

    @torch.no_grad()
    def encode(self, src: Tensor, src_lengths: Tensor) -> tuple[Memory, tuple[State, ...]]:
        """Encode sources.

        Args:
            src: ids (B, S), padded.
            src_lengths: (B,) valid lengths ≥ 1.

        Returns:
            The memory, as wide as the next multiple of 16, and the first state of each decoder
            layer, (1, B, H).
        """
        if self._encoder is None:
            memory, state = self.model.encode(src, src_lengths)
        else:
            memory, state = self._encode(src, src_lengths)
        missing = -memory.mask.shape[1] % _WIDTH
        if missing:
            keys = None if memory.keys is None else pad(memory.keys, (0, 0, 0, missing))
            values = pad(memory.values, (0, 0, 0, missing))
            memory = Memory(values, keys, pad(memory.mask, (0, missing)), memory.context)
        return memory, tuple(state.layer(i) for i in range(len(self._steps)))

    @torch.no_grad()
    def step(
        self,
        tokens: Tensor,
        before: tuple[State, ...],
        memory: Memory,
        context: Tensor | None,
        places: Places,
    ) -> tuple[Tensor, tuple[State, ...], Tensor | None]:
        """One step of N rows, N a multiple of four.

        Args:
            tokens: (N,) last tokens.
            before: for each layer (1, N, H).
            memory: of b sentences.
            context: (N, H) each row's constant context; only without attention.
            places: which rows belong to which sentence.

        Returns:
            Logits (N, V), the states after, and attention weights (N, S), averaged over heads.
        """
        x = self._embedding(tokens)  # (N, E)
        if self._attention is None:
            assert context is not None
            hidden, after = self._climb([x, context], before, 0, self._bottom)
            return self._read([hidden]), after, None
        hidden, after = self._climb([x], before, 0, self._bottom)
        attended, weights = self._attend(hidden, memory, places)
        if len(self._steps) > self._bottom:
            both = [hidden, attended]
            hidden, upper = self._climb(both, before, self._bottom, len(self._steps))
            after = (*after, *upper)
        return self._read([hidden, attended]), after, weights

    def _climb(
        self, inputs: list[Tensor], before: tuple[State, ...], first: int, end: int
    ) -> tuple[Tensor, tuple[State, ...]]:
        """Through the layers first … end - 1."""
        states: list[State] = []
        for index in range(first, end):
            state = self._steps[index](inputs, before[index])
            states.append(state)
            hidden = state.h[0]
            if self._residual:
                x = inputs[0] if len(inputs) == 1 else torch.cat(inputs, 1)
                hidden = hidden + x if x.shape == hidden.shape else hidden
            inputs = [hidden]
        return inputs[0], tuple(states)

    def _attend(self, hidden: Tensor, memory: Memory, places: Places) -> tuple[Tensor, Tensor]:
        """Context (N, M) and weights (N, S): the rows of a sentence ask its memory together."""
        assert self._attention is not None
        assert memory.keys is not None
        hidden = hidden.to(memory.values.dtype)
        asked = hidden if places.rows is None else hidden.index_select(0, places.rows)
        queries = asked.view(places.sentences, places.width, -1)
        if self._attention.is_product:
            # the module's equations in three operations
            bias = torch.where(memory.mask, 0.0, -math.inf).to(queries.dtype)[:, None]
            scores = torch.baddbmm(bias, queries, memory.keys.mT)  # (b, W, S)
            weights = torch.softmax(scores, -1)
            context = torch.bmm(weights, memory.values)
        else:
            context, heads = self._attention(queries, memory.keys, memory.values, memory.mask)
            weights = heads.mean(1)
        context, weights = context.flatten(0, 1), weights.flatten(0, 1)
        if places.places is None:
            return context, weights
        return context.index_select(0, places.places), weights.index_select(0, places.places)

    def _read(self, features: list[Tensor]) -> Tensor:
        x = features[0] if len(features) == 1 else torch.cat(features, 1)
        if self._readout is not None:
            x = self._readout(x.to(self.kind)).tanh_()
        return self._output(x.to(self.kind))

    def _linear(self, layer: nn.Linear) -> PackedLinear:
        return PackedLinear(layer.weight.to(self.kind), layer.bias.to(self.kind))

    def _encode(self, src: Tensor, src_lengths: Tensor) -> tuple[Memory, State]:
        assert self._encoder is not None
        batch, width = src.shape
        order = torch.argsort(src_lengths, descending=True, stable=True)
        lengths = pad(src_lengths[order], (0, batch_invariant_rows(batch) - batch))
        positions = torch.arange(width)[:, None]
        alive = (positions < lengths).sum(1).tolist()
        turned = torch.where(positions < lengths, lengths - 1 - positions, positions)  # (S, B)
        turned = turned.to(src.device)
        real = (positions < lengths).to(src.device)[:, :, None]
        rows = pad(order, (0, batch_invariant_rows(batch) - batch)).to(src.device)
        x = self.model.encoder.embedding(src.index_select(0, rows))  # (B, S, E)
        x = x.transpose(0, 1).contiguous()  # (S, B, E)
        states: list[State] = []
        for run in self._encoder:
            outputs, finals = run(x, alive, turned)
            if self.model.encoder.recurrent.residual and outputs.shape == x.shape:
                outputs = outputs + x * real
            x = outputs
            states += finals
        back = torch.argsort(order).to(src.device)
        final = self.model.encoder.join_directions(State.stack(states)).select(back)
        return self.model.remember(x.transpose(0, 1).index_select(0, back), final, src_lengths)
