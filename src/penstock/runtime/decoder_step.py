"""The step of a translation model in torch: what connects `InferenceModel` to the searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from penstock.nn import Memory, Seq2Seq, State
from penstock.nn.products import batch_invariant_rows
from penstock.runtime.torch_engine import InferenceModel, Places
from penstock.runtime.torch_top import top_tokens
from penstock.search.step import Ints, Step, StepOutput
from penstock.special_tokens import BOS_ID, UNK_ID


@dataclass(frozen=True, slots=True)
class DecodingState:
    """One decoder state per row, and the memory of the sentences that the rows belong to.

    Attributes:
        memory: of b sentences; no row has a copy of it.
        layers: for each decoder layer its state, of N rows and rounding.
        sentences: (N,) which sentence each row belongs to.
        places: where the rows stand when each sentence's are side by side.
        width: S, positions of the longest source.
    """

    memory: Memory
    layers: tuple[State, ...]
    sentences: Tensor
    places: Places
    width: int

    def select(self, rows: Ints) -> DecodingState:
        """The given rows; memory that no row needs is dropped when it is half of it or more."""
        chosen = torch.from_numpy(rows).to(self.sentences.device)
        padded = pad(chosen, (0, batch_invariant_rows(len(rows)) - len(rows)))
        layers = tuple(state.select(padded) for state in self.layers)
        sentences, memory = self.sentences.index_select(0, chosen), self.memory
        if len(memory.mask) > 1 and len(rows):
            held = torch.bincount(sentences, minlength=len(memory.mask)) > 0
            needed = held.nonzero()[:, 0]
            if 2 * len(needed) <= len(memory.mask):
                memory = memory.select(needed)
                sentences = (held.cumsum(0) - 1).index_select(0, sentences)
        places = _places(sentences, len(memory.mask))
        return DecodingState(memory, layers, sentences, places, self.width)

    def join(self, others: Sequence[DecodingState]) -> DecodingState:
        """Its rows, then those of the others, which have the same memory."""
        every = [self, *others]
        assert all(state.memory is self.memory for state in others)
        count = sum(len(state.sentences) for state in every)
        rounding = batch_invariant_rows(count) - count
        layers: list[State] = []
        for index in range(len(self.layers)):
            real = [state.layers[index].first(len(state.sentences)) for state in every]
            joined = real[0].join(real[1:])
            layers.append(joined.join([joined.first(1).repeat(rounding)]) if rounding else joined)
        sentences = torch.cat([state.sentences for state in every])
        places = _places(sentences, len(self.memory.mask))
        return DecodingState(self.memory, tuple(layers), sentences, places, self.width)


def start_decoding(
    model: Seq2Seq | InferenceModel, src: Tensor, src_lengths: Tensor
) -> DecodingState:
    """Encode the sources; the state before BOS."""
    prepared = model if isinstance(model, InferenceModel) else InferenceModel(model)
    memory, layers = prepared.encode(src, src_lengths)
    sentences = torch.arange(len(src), device=src.device)
    wanted = pad(sentences, (0, batch_invariant_rows(len(src)) - len(src)))
    layers = tuple(state.select(wanted) for state in layers)
    return DecodingState(memory, layers, sentences, _places(sentences, len(src)), src.shape[1])


def decoding_step(model: Seq2Seq | InferenceModel) -> Step[DecodingState]:
    """The model's decoder as a step; of a `Seq2Seq` with its weights as they are now."""
    prepared = model if isinstance(model, InferenceModel) else InferenceModel(model)

    @torch.no_grad()
    def step(last: Ints, before: DecodingState, /, *, top: int) -> StepOutput[DecodingState]:
        count = len(last)
        tokens = torch.from_numpy(last).to(before.sentences.device)
        tokens = pad(tokens, (0, batch_invariant_rows(count) - count))
        context = None
        if before.memory.keys is None:
            context = before.memory.context.index_select(0, before.sentences)
            context = pad(context, (0, 0, 0, len(tokens) - count))
        logits, layers, weights = prepared.step(
            tokens, before.layers, before.memory, context, before.places
        )
        attention = None
        if weights is not None:
            attention = weights[:count, : before.width].float().cpu().numpy()
        log_probs = torch.log_softmax(logits[:count].float(), -1)
        ids = None
        if top and log_probs.device.type != "cpu":  # the host picks faster what it has
            log_probs, ids = top_tokens(log_probs, min(top, log_probs.shape[1]), fixed=True)
            ids = ids.cpu().numpy()
        after = replace(before, layers=layers)
        return StepOutput(log_probs.cpu().numpy(), ids, after, attention)

    return step


def warm_up(model: InferenceModel, rows: int) -> None:
    """Take a step with every number of rows that occurs in a batch of at most `rows`.

    A CPU compiles a product when its number of rows (`batch_invariant_rows`) is first met;
    compiling now delays no later batch and allocates the memory now.
    """
    step = decoding_step(model)
    for count in sorted({batch_invariant_rows(number) for number in range(1, rows + 1)}):
        sources = torch.full((count, 1), UNK_ID, device=model.device)
        state = start_decoding(model, sources, torch.ones(count, dtype=torch.long))
        step(np.full(count, BOS_ID), state, top=1)


def _places(sentences: Tensor, count: int) -> Places:
    """The rows of each sentence side by side, padded to a number that rounds alike."""
    rows = len(sentences)
    if count == 1:
        return Places(1, batch_invariant_rows(rows), None, None)
    held = torch.bincount(sentences, minlength=count)
    width = batch_invariant_rows(int(held.max())) if rows else 4
    order = torch.argsort(sentences, stable=True)
    ordered = sentences.index_select(0, order)
    firsts = torch.cumsum(held, 0) - held
    rank = torch.arange(rows, device=sentences.device) - firsts.index_select(0, ordered)
    place = ordered * width + rank
    at = torch.zeros(count * width, dtype=torch.long, device=sentences.device)
    at[place] = order
    places = torch.empty_like(place)
    places[order] = place
    return Places(count, width, at, pad(places, (0, batch_invariant_rows(rows) - rows)))
