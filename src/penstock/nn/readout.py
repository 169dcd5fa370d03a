"""The layers from recurrent states to logits over the vocabulary."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from penstock.config import ModelConfig
from penstock.nn.dropout import Dropout
from penstock.nn.products import rows_linear


class Readout(nn.Module):
    """An optional layer with tanh, then the output layer, whose weights may be the embedding's.

    Args:
        config: `readout_size`, `tie_embeddings` and dropout.
        size: width of the states.
        embedding: of the predicted vocabulary.
    """

    def __init__(self, config: ModelConfig, size: int, embedding: nn.Embedding) -> None:
        super().__init__()
        self.dropout = Dropout(config.dropout, variational=config.variational_dropout)
        width = config.resolved_readout_size
        self.layer = nn.Linear(size, width) if width else None
        self.output = nn.Linear(width or size, embedding.num_embeddings)
        if config.tie_embeddings != "none":
            self.output.weight = embedding.weight

    def forward(self, states: Tensor) -> Tensor:
        """States (B, T, H) to logits (B, T, V)."""
        return self.output(self.features(states))

    def features(self, states: Tensor) -> Tensor:
        """States (B, T, H) to the output layer's input (B, T, R)."""
        x = self.dropout(states)
        if self.layer is None:
            return x
        return self.dropout(torch.tanh(rows_linear(x, self.layer.weight, self.layer.bias)))
