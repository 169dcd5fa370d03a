"""Encoder and decoder joined: the sequence-to-sequence model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from penstock.config import ModelConfig
from penstock.errors import ConfigError
from penstock.nn.bridge import Bridge
from penstock.nn.cells import cell_spec
from penstock.nn.decoder import Decoder
from penstock.nn.embedding import TokenEmbedding
from penstock.nn.encoder import Encoder
from penstock.nn.fixed_shapes import has_fixed_shapes
from penstock.nn.frozen_transformer import FrozenTransformer
from penstock.nn.initialization import initialize
from penstock.nn.loss import cross_entropy_sum
from penstock.nn.state import Memory, State
from penstock.special_tokens import PAD_ID


class Seq2Seq(nn.Module):
    """Source ids to target logits.

    Args:
        config: sizes and choices.
        source_size: V of the source vocabulary.
        target_size: V of the target vocabulary.
        transformer: replaces the source embedding.

    Raises:
        ConfigError: a shared embedding for vocabularies of different sizes.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        source_size: int,
        target_size: int,
        transformer: FrozenTransformer | None = None,
    ) -> None:
        super().__init__()
        source = self._embedding(config, source_size) if transformer is None else transformer
        shared = config.tie_embeddings == "all"
        if shared and source_size != target_size:
            raise ConfigError(
                f"tie_embeddings 'all' needs one vocabulary, found {source_size} and {target_size} "
                "tokens; set text.shared = true"
            )
        if shared and isinstance(source, TokenEmbedding):
            target = source
        else:
            target = self._embedding(config, target_size)
        self.encoder = Encoder(config, source)
        self.decoder = Decoder(config, target)
        self.bridge = Bridge(
            encoder_layers=config.encoder_layers,
            decoder_layers=config.decoder_layers,
            size=config.hidden_size,
            carries=cell_spec(config.cell).carries,
        )
        initialize(self, config.initialization)

    @staticmethod
    def _embedding(config: ModelConfig, tokens: int) -> TokenEmbedding:
        return TokenEmbedding(tokens, config.embedding_size, scaled=config.scale_embeddings)

    def encode(self, src: Tensor, src_lengths: Tensor) -> tuple[Memory, State]:
        """Encode the source and prepare the decoder.

        Args:
            src: (B, S) ids; src_lengths: (B,) valid lengths ≥ 1.

        Returns:
            The memory to attend to, and the decoder's first state (L, B, H).
        """
        values, final = self.encoder(src, src_lengths)
        return self.remember(values, final, src_lengths)

    def remember(self, values: Tensor, final: State, src_lengths: Tensor) -> tuple[Memory, State]:
        """The result of `encode` from the encoder's values (B, S, H) and final state."""
        attention = self.decoder.attention
        positions = torch.arange(values.shape[1], device=values.device)
        memory = Memory(
            values=values,
            keys=None if attention is None else attention.keys(values),
            mask=positions < src_lengths.to(values.device)[:, None],
            context=final.h[-1],
        )
        return memory, self.bridge(final)

    def forward(self, src: Tensor, src_lengths: Tensor, tgt_in: Tensor) -> Tensor:
        """Logits (B, T, V) under teacher forcing."""
        memory, state = self.encode(src, src_lengths)
        return self.decoder(tgt_in, state, memory)[0]

    def states(self, src: Tensor, src_lengths: Tensor) -> Tensor:
        """The encoder's top states (B, S, H); arguments as for `encode`."""
        return self.encoder(src, src_lengths)[0]

    def loss(
        self,
        src: Tensor,
        src_lengths: Tensor,
        tgt_in: Tensor,
        tgt_out: Tensor,
        tgt_lengths: Tensor,
        *,
        label_smoothing: float = 0.0,
    ) -> tuple[Tensor, int]:
        """Summed cross-entropy over the real target tokens, in nats, and their number.

        Padding is excluded; divide once, at the update, by the total number of tokens.
        """
        memory, state = self.encode(src, src_lengths)
        features = self.decoder.features(tgt_in, state, memory).values
        return self.output_loss(features, tgt_out, tgt_lengths, label_smoothing=label_smoothing)

    def output_loss(
        self, features: Tensor, tgt_out: Tensor, tgt_lengths: Tensor, *, label_smoothing: float
    ) -> tuple[Tensor, int]:
        """The loss from the decoder's features (B, T, R)."""
        output = self.decoder.output
        rows, targets, real = features.flatten(0, 1), tgt_out.flatten(), None
        if has_fixed_shapes(rows):
            real = targets != PAD_ID
        else:
            positions = torch.arange(tgt_out.shape[1])
            chosen = (positions < tgt_lengths[:, None]).flatten().nonzero().squeeze(1)
            rows, targets = rows.index_select(0, chosen), targets.index_select(0, chosen)
        total = cross_entropy_sum(
            rows, output.weight, output.bias, targets, label_smoothing=label_smoothing, real=real
        )
        return total, sum(tgt_lengths.tolist())
