"""The cloze model: what stands in a blank, from everything to its left and to its right.

Two stacks read towards each blank. The left one has seen the tokens up to t-1, the right one
those from the end down to t+1, and neither ever the answer; so every position can be a blank at
once in training. The stacks meet only at the top: were a layer of both directions put on another,
its state at t-1 would know t.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from penstock.config import ModelConfig, RunConfig
from penstock.nn.dropout import Dropout, TokenDropout
from penstock.nn.embedding import TokenEmbedding
from penstock.nn.fixed_shapes import has_fixed_shapes
from penstock.nn.frozen_transformer import FrozenTransformer
from penstock.nn.initialization import initialize
from penstock.nn.loss import cross_entropy_sum
from penstock.nn.padded_layer import reversal
from penstock.nn.readout import Readout
from penstock.nn.recurrent import Recurrent
from penstock.special_tokens import BOS_ID


def build_network(
    config: RunConfig,
    *,
    source_size: int,
    target_size: int,
    transformer: FrozenTransformer | None = None,
) -> Cloze:
    """A network with its first weights (see `Learning.network`)."""
    return Cloze(config.model, vocab_size=source_size)


class Cloze(nn.Module):
    """Token ids to logits of each token given all others.

    Args:
        config: sizes and choices; each direction has `num_layers` layers of half `hidden_size`.
        vocab_size: V.
    """

    def __init__(self, config: ModelConfig, *, vocab_size: int) -> None:
        super().__init__()
        self.embedding = TokenEmbedding(
            vocab_size, config.embedding_size, scaled=config.scale_embeddings
        )
        self.token_dropout = TokenDropout(config.token_dropout)
        self.embedding_dropout = Dropout(
            config.embedding_dropout, variational=config.variational_dropout
        )
        self.left, self.right = (
            Recurrent.from_config(
                config,
                config.embedding_size,
                config.hidden_size // 2,
                num_layers=config.num_layers,
            )
            for _ in range(2)
        )
        self.readout = Readout(config, config.hidden_size, self.embedding)
        initialize(self, config.initialization)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, S, V): row t scores every token as the one at t, which is not read.

        Args:
            ids: (B, S), each row ending with EOS before its padding.
            lengths: (B,) valid lengths with EOS, ≥ 2; the last valid position (EOS) and padding
                get logits without meaning.
        """
        return self.readout(self.contexts(ids, lengths))

    def contexts(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """What surrounds each position t, (B, S, H): the states up to t-1 and down to t+1."""
        left, right = self._both_sides(ids, lengths)  # (B, 1 + S, H/2) each
        return torch.cat([left[:, :-1], pad(right[:, 2:], (0, 0, 0, 1))], -1)

    def log_probs(self, contexts: Tensor) -> Tensor:
        """Of every token, (N, V), from what surrounds N blanks, (N, H)."""
        return torch.log_softmax(self.readout(contexts[None])[0].float(), -1)

    def states(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """A contextual vector per token, (B, S, H): the two states that have just read it."""
        left, right = self._both_sides(ids, lengths)
        return torch.cat([left[:, 1:], right[:, 1:]], -1)

    def loss(self, ids: Tensor, lengths: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
        """Summed cross-entropy of all tokens but EOS, each as a blank, in nats."""
        positions = torch.arange(ids.shape[1], device=ids.device)
        blanks = positions < lengths.to(ids.device)[:, None] - 1
        features, real = self.readout.features(self.contexts(ids, lengths)), None
        if has_fixed_shapes(ids):
            features, ids, real = features.flatten(0, 1), ids.flatten(), blanks.flatten()
        else:
            features, ids = features[blanks], ids[blanks]
        output = self.readout.output
        return cross_entropy_sum(
            features, output.weight, output.bias, ids, label_smoothing=label_smoothing, real=real
        )

    def _both_sides(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States of both stacks after reading BOS, the tokens and EOS, each in its direction."""
        ids = pad(self.token_dropout(ids), (1, 0), value=BOS_ID)  # (B, 1 + S)
        lengths = lengths + 1
        x = self.embedding_dropout(self.embedding(ids))
        left, _ = self.left(x, lengths)
        turn = reversal(lengths.to(ids.device), ids.shape[1])[:, :, None]
        right, _ = self.right(x.take_along_dim(turn, 1), lengths)
        return left, right.take_along_dim(turn, 1)
