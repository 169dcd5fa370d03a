"""The language model: a recurrent stack that predicts each token from those before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from penstock.config import ModelConfig, RunConfig
from penstock.nn.dropout import Dropout, TokenDropout
from penstock.nn.embedding import TokenEmbedding
from penstock.nn.frozen_transformer import FrozenTransformer
from penstock.nn.initialization import initialize
from penstock.nn.loss import cross_entropy_sum
from penstock.nn.readout import Readout
from penstock.nn.recurrent import Recurrent
from penstock.nn.state import State
from penstock.special_tokens import EOS_ID


def build_network(
    config: RunConfig,
    *,
    source_size: int,
    target_size: int,
    transformer: FrozenTransformer | None = None,
) -> LanguageModel:
    """A network with its first weights (see `Learning.network`)."""
    return LanguageModel(config.model, vocab_size=source_size)


class LanguageModel(nn.Module):
    """Token ids to logits of the next token.

    It reads forward only; the backward direction would read the answer.

    Args:
        config: sizes and choices; the depth is `num_layers`.
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
        self.recurrent = Recurrent.from_config(
            config, config.embedding_size, config.hidden_size, num_layers=config.num_layers
        )
        self.readout = Readout(config, config.hidden_size, self.embedding)
        initialize(self, config.initialization)

    def forward(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits of every next token.

        Args:
            ids: (B, T).
            state: (L, B, H) before the first token; zeros when None.

        Returns:
            Logits (B, T, V) and the state after the last token, (L, B, H): going on with it is
            the same as one longer call.
        """
        values, after = self.features(ids, state)
        return self.readout(values), after

    def features(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """States (B, T, H) of the top layer, each knowing the tokens up to its own."""
        x = self.embedding_dropout(self.embedding(self.token_dropout(ids)))
        return self.recurrent(x, state=state)

    def loss(
        self,
        inputs: Tensor,
        targets: Tensor,
        state: State | None = None,
        *,
        label_smoothing: float = 0.0,
    ) -> tuple[Tensor, int, State]:
        """Cross-entropy of a window.

        Args:
            inputs: (B, T) ids.
            targets: (B, T) the ids that follow.
            state: (L, B, H) carried from the window before; detach it there.
            label_smoothing: as `cross_entropy_sum` has it.

        Returns:
            The sum over all tokens in nats, their number, the state after the window.
        """
        values, after = self.features(inputs, state)
        features = self.readout.features(values).flatten(0, 1)
        output = self.readout.output
        total = cross_entropy_sum(
            features,
            output.weight,
            output.bias,
            targets.flatten(),
            label_smoothing=label_smoothing,
        )
        return total, targets.numel(), after

    def read(
        self, ids: Tensor, h: Tensor | None = None, c: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Read ids (B, T) on from a state; log-probabilities (B, V) of what follows, and the state.

        The state before is given as its parts, (L, B, H); zeros when None.
        """
        values, after = self.features(ids, State.of(h, c))
        return torch.log_softmax(self.readout(values[:, -1:])[:, 0].float(), -1), after

    def score(
        self, inputs: Tensor, targets: Tensor, h: Tensor | None = None, c: Tensor | None = None
    ) -> tuple[Tensor, Tensor, State]:
        """Score the ids (B, T) that follow each of the inputs (B, T).

        Returns:
            Log-probability of each target, the likeliest id at each position, and the state after.
        """
        logits, after = self(inputs, State.of(h, c))
        log_probs = torch.log_softmax(logits.float(), -1)
        return log_probs.gather(2, targets[:, :, None])[:, :, 0], log_probs.argmax(-1), after

    def states(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Top states (B, S, H) of lines, each read as if after the end of another."""
        begun = pad(ids, (1, 0), value=EOS_ID)
        return self.features(begun)[0][:, 1:]
