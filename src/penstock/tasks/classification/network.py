"""The classifier: a sentence's states pooled into one vector, and a score per label."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from penstock.config import ModelConfig, RunConfig
from penstock.nn.dropout import Dropout, TokenDropout
from penstock.nn.embedding import TokenEmbedding
from penstock.nn.encoder import Encoder
from penstock.nn.frozen_transformer import FrozenTransformer
from penstock.nn.initialization import initialize
from penstock.special_tokens import PAD_ID, RESERVED


def build_network(
    config: RunConfig,
    *,
    source_size: int,
    target_size: int,
    transformer: FrozenTransformer | None = None,
) -> Classifier:
    """A network with its first weights (see `Learning.network`)."""
    labels = target_size - len(RESERVED)
    return Classifier(
        config.model, vocab_size=source_size, num_labels=labels, transformer=transformer
    )


class Classifier(nn.Module):
    """Token ids of a sentence to logits of its label.

    The whole sentence is known when it is classified: both directions may read it.

    Args:
        config: sizes and choices; the depth is `num_layers`.
        vocab_size: V of the text.
        num_labels: C.
        transformer: replaces the embedding.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        vocab_size: int,
        num_labels: int,
        transformer: FrozenTransformer | None = None,
    ) -> None:
        super().__init__()
        embedding = transformer or TokenEmbedding(
            vocab_size, config.embedding_size, scaled=config.scale_embeddings
        )
        self.token_dropout = TokenDropout(config.token_dropout)
        self.encoder = Encoder(config, embedding, num_layers=config.num_layers)
        self.pooling = config.pooling
        self.dropout = Dropout(config.dropout)
        self.output = nn.Linear(config.hidden_size, num_labels)
        initialize(self, config.initialization)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Logits (B, C) of sentences.

        Args:
            ids: (B, S), padded.
            lengths: (B,) valid lengths ≥ 1; padding is never read.
        """
        values, final = self.encoder(self.token_dropout(ids), lengths)
        if self.pooling == "final":
            pooled = final.h[-1]
        else:
            positions = torch.arange(ids.shape[1], device=ids.device)
            counts = lengths.to(ids.device)[:, None]
            pooled = _pool(values, positions < counts, self.pooling)
        return self.output(self.dropout(pooled[:, None])[:, 0])

    def probabilities(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Of each label (B, C); arguments as `forward`."""
        return self(ids, lengths).float().softmax(-1)

    def states(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """The top layer's states (B, S, H); arguments as `forward`."""
        return self.encoder(ids, lengths)[0]

    def loss(
        self, ids: Tensor, lengths: Tensor, labels: Tensor, *, label_smoothing: float = 0.0
    ) -> tuple[Tensor, int]:
        """Summed cross-entropy in nats, and the number of sentences.

        `labels` is (B,); a row whose label is that of padding does not count in the sum.
        """
        logits = self(ids, lengths).float()
        total = cross_entropy(
            logits,
            labels,
            reduction="sum",
            label_smoothing=label_smoothing,
            ignore_index=PAD_ID - len(RESERVED),
        )
        return total, len(labels)


def _pool(values: Tensor, mask: Tensor, kind: str) -> Tensor:
    """Pool the states (B, S, H) of the real tokens into one vector per sentence, (B, H)."""
    if kind == "max":
        return values.masked_fill(~mask[:, :, None], float("-inf")).amax(1)
    return values.sum(1) / mask.sum(1, keepdim=True)  # values are zero at padding
