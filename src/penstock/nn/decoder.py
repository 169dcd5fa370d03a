"""The decoder: a language model of the target, conditioned on the source.

Layer 1 runs over the target, attends once for all positions, and the context feeds the upper layers
and the output (as in GNMT v2 and RNMT+): no training step waits for another's attention, so
training is a handful of large products. Without attention it is the book's decoder: the context is
the encoder's final state, *the same at every step*, concatenated with each input.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from penstock.config import ModelConfig
from penstock.nn.attention import AttentionSizes, make_attention
from penstock.nn.dropout import Dropout
from penstock.nn.products import rows_linear
from penstock.nn.recurrent import Recurrent
from penstock.nn.state import Memory, State


class Features(NamedTuple):
    """Decoder outputs before the output layer.

    Attributes:
        values: (B, T, R), input of the output layer.
        state: after the last position, (L, B, H).
        weights: attention (B, heads, T, S), or None without attention.
    """

    values: Tensor
    state: State
    weights: Tensor | None


class Decoder(nn.Module):
    """Recurrent layers, optional attention, readout and output layer."""

    def __init__(self, config: ModelConfig, embedding: nn.Embedding) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.embedding = embedding
        self.dropout = Dropout(config.dropout, variational=config.variational_dropout)
        self.embedding_dropout = Dropout(
            config.embedding_dropout, variational=config.variational_dropout
        )
        attends = config.attention != "none"
        below = config.embedding_size
        bottom_layers = 1 if attends else config.decoder_layers
        self.bottom = Recurrent.from_config(
            config, below if attends else below + hidden, hidden, num_layers=bottom_layers
        )
        width = config.attention_size or hidden
        sizes = AttentionSizes(hidden, hidden, width, config.attention_heads)
        self.attention = make_attention(config.attention, sizes)
        upper = config.decoder_layers - bottom_layers
        self.upper = (
            Recurrent.from_config(config, 2 * hidden, hidden, num_layers=upper) if upper else None
        )
        features = 2 * hidden if attends else hidden
        readout = config.resolved_readout_size
        self.readout = nn.Linear(features, readout) if readout else None
        self.output = nn.Linear(readout or features, embedding.num_embeddings)
        if config.tie_embeddings != "none":
            self.output.weight = embedding.weight

    def forward(self, tgt_in: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """Logits for every position.

        Args:
            tgt_in: ids (B, T) beginning with BOS; in a search T = 1.
            state: (L, B, H) before the first position.
            memory: the encoded source.

        Returns:
            Logits (B, T, V) and the state after the last position.
        """
        features = self.features(tgt_in, state, memory)
        return self.output(features.values), features.state

    def features(self, tgt_in: Tensor, state: State, memory: Memory) -> Features:
        """Run up to the output layer; arguments as for `forward`."""
        x = self.embedding_dropout(self.embedding(tgt_in))  # (B, T, E)
        if self.attention is None:
            context = memory.context.to(x.dtype)[:, None].expand(-1, x.shape[1], -1)
            hidden, after = self.bottom(torch.cat([x, context], -1), state=state)
            return Features(self._read(hidden), after, None)
        assert memory.keys is not None
        hidden, after = self.bottom(x, state=state.layer(0))
        context, weights = self.attention(hidden, memory.keys, memory.values, memory.mask)
        if self.upper is not None:
            above = self.dropout(torch.cat([hidden, context.to(hidden.dtype)], -1))
            hidden, upper = self.upper(above, state=state.map(lambda x: x[1:]))
            after = State.stack([after, upper])
        both = torch.cat([hidden, context.to(hidden.dtype)], -1)
        return Features(self._read(both), after, weights)

    def _read(self, x: Tensor) -> Tensor:
        if self.readout is None:  # the book's decoder: dropout between layers only
            return x
        read = rows_linear(self.dropout(x), self.readout.weight, self.readout.bias)
        return self.dropout(torch.tanh(read))
