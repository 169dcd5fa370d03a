"""The encoder: source ids to a memory and a final state."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from penstock.config import ModelConfig
from penstock.nn.dropout import Dropout
from penstock.nn.frozen_transformer import FrozenTransformer
from penstock.nn.recurrent import Recurrent
from penstock.nn.state import State


class Encoder(nn.Module):
    """An embedding and a recurrent stack, optionally bidirectional.

    Each direction of a bidirectional encoder has half of `hidden_size`, so that outputs are
    (B, S, hidden_size) in either case.

    Args:
        config: sizes and choices.
        embedding: ids to vectors, of any width.
        num_layers: depth; default: the configured `encoder_layers`.
    """

    def __init__(
        self,
        config: ModelConfig,
        embedding: nn.Embedding | FrozenTransformer,
        *,
        num_layers: int | None = None,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.dropout = Dropout(config.embedding_dropout, variational=config.variational_dropout)
        self.output_dropout = Dropout(config.dropout, variational=config.variational_dropout)
        self.directions = 2 if config.bidirectional else 1
        self.recurrent = Recurrent.from_config(
            config,
            embedding.embedding_dim,
            config.hidden_size // self.directions,
            num_layers=num_layers or config.encoder_layers,
            bidirectional=config.bidirectional,
        )

    def forward(self, src: Tensor, src_lengths: Tensor) -> tuple[Tensor, State]:
        """Encode.

        Args:
            src: ids (B, S), padded.
            src_lengths: (B,) valid lengths; padding is never read.

        Returns:
            Values (B, S, hidden_size), zero at padding; the final state with directions
            concatenated, (L, B, hidden_size).
        """
        values, state = self.recurrent(self.dropout(self.embedding(src)), src_lengths)
        return self.output_dropout(values), self.join_directions(state)

    def join_directions(self, state: State) -> State:
        """Concatenate the states of both directions, (L·2, B, H/2), to (L, B, H)."""
        if self.directions == 1:
            return state
        return state.map(lambda x: torch.cat([x[0::2], x[1::2]], -1))
