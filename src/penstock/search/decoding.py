"""The translation model's step: what connects `Seq2Seq` to the searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from penstock.nn import Memory, Seq2Seq, State
from penstock.search.step import Step, StepOutput


@dataclass(frozen=True, slots=True)
class DecodingState:
    """A decoder state a row, and the memory of the sentence that the row belongs to.

    Attributes:
        memory: of N rows.
        state: of N rows.
        sentences: (N,) which sentence each row belongs to.
    """

    memory: Memory
    state: State
    sentences: Tensor

    def select(self, rows: Tensor) -> DecodingState:
        """The given rows; the memory is copied only where a row changes its sentence."""
        sentences = self.sentences.index_select(0, rows)
        same = torch.equal(sentences, self.sentences)
        memory = self.memory if same else self.memory.select(rows)
        return DecodingState(memory, self.state.select(rows), sentences)

    def join(self, others: Sequence[DecodingState]) -> DecodingState:
        """Its rows, then those of the others."""
        every = [self, *others]
        return DecodingState(
            self.memory.join([state.memory for state in others]),
            self.state.join([state.state for state in others]),
            torch.cat([state.sentences for state in every]),
        )


def start_decoding(model: Seq2Seq, src: Tensor, src_lengths: Tensor) -> DecodingState:
    """Encode the sources and stand before BOS."""
    memory, state = model.encode(src, src_lengths)
    return DecodingState(memory, state, torch.arange(src.shape[0], device=src.device))


def decoding_step(model: Seq2Seq) -> Step[DecodingState]:
    """The model's decoder as a step: the same call as in training, with T = 1."""

    def step(tokens: Tensor, before: DecodingState, /) -> StepOutput[DecodingState]:
        # a search begins before it has seen the model's device
        tokens = tokens.to(before.sentences.device)
        features = model.decoder.features(tokens[:, None], before.state, before.memory)
        logits = model.decoder.output(features.values[:, 0])
        weights = None if features.weights is None else features.weights.mean(1)[:, 0]
        return StepOutput(
            logits, DecodingState(before.memory, features.state, before.sentences), weights
        )

    return step
