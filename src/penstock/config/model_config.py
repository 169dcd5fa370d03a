"""`[model]`: the network."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from penstock.config.section import Section


class ModelConfig(Section):
    """The network.

    Translation has a recurrent encoder and decoder, with or without attention; the other tasks
    have one recurrent stack of `num_layers`. A bidirectional stack gives each direction half of
    `hidden_size`.
    """

    cell: Literal["rnn", "gru", "lstm"] = "lstm"
    gru_form: Literal["after", "before"] = Field(
        default="after",
        description="where the reset gate acts: after the product (cuDNN) or before (book)",
    )
    embedding_size: int = Field(default=256, ge=1)
    hidden_size: int = Field(default=512, ge=1)
    num_layers: int = Field(default=1, ge=1, description="of the one stack of other tasks")
    encoder_layers: int = Field(default=1, ge=1)
    decoder_layers: int = Field(default=2, ge=1)
    bidirectional: bool = True
    residual: bool = False
    layer_norm: bool = False
    attention: Literal["none", "dot", "general", "additive", "multihead"] = "general"
    attention_size: int | None = Field(default=None, ge=1, description="default: hidden_size")
    attention_heads: int = Field(default=4, ge=1)
    readout_size: int | None = Field(
        default=None,
        ge=0,
        description="layer before the output; default: embedding_size with attention or tied "
        "embeddings, else none (0)",
    )
    scale_embeddings: bool = Field(
        default=False,
        description="inputs of unit variance: table of N(0, 1/E), times √E on the way in",
    )
    tie_embeddings: Literal["none", "decoder", "all"] = "decoder"
    source_vectors: str | None = Field(
        default=None,
        description="file of word vectors that the source's embedding begins with; the one text's "
        "where there is one",
    )
    target_vectors: str | None = Field(default=None, description="the same for the target")
    freeze_vectors: bool = Field(
        default=False, description="embeddings that begin with a file's vectors are not trained"
    )
    transformer: str | None = Field(
        default=None,
        description="folder of a pretrained encoder, whose vectors, never trained, take the place "
        "of the source's embedding; it brings its tokenizer (extra `transformers`)",
    )
    pooling: Literal["final", "mean", "max"] = Field(
        default="max", description="classification: how a sentence's states become one vector"
    )
    dropout: float = Field(default=0.3, ge=0, lt=1)
    embedding_dropout: float = Field(default=0.1, ge=0, lt=1)
    token_dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="input tokens that are <unk> in training; not in translation",
    )
    weight_dropout: float = Field(
        default=0.0, ge=0, lt=1, description="of the recurrent weights (DropConnect)"
    )
    variational_dropout: bool = True
    initialization: Literal["uniform", "xavier", "orthogonal", "normal"] = "uniform"
    backend: Literal["fused", "reference"] = "fused"

    @property
    def resolved_readout_size(self) -> int:
        """The readout's width, 0 for none."""
        if self.readout_size is not None:
            return self.readout_size
        plain = self.attention == "none" and self.tie_embeddings == "none"
        return 0 if plain else self.embedding_size

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.bidirectional and self.hidden_size % 2:
            raise ValueError(
                f"hidden_size {self.hidden_size} must be even: a bidirectional encoder gives each "
                "direction half of it"
            )
        width = self.attention_size or self.hidden_size
        if self.attention == "multihead" and width % self.attention_heads:
            raise ValueError(
                f"attention_size {width} is not divisible by attention_heads {self.attention_heads}"
            )
        if self.tie_embeddings != "none" and self.resolved_readout_size != self.embedding_size:
            raise ValueError(
                f"tie_embeddings {self.tie_embeddings!r} needs readout_size = embedding_size "
                f"({self.embedding_size}), found {self.resolved_readout_size}"
            )
        if self.freeze_vectors and self.source_vectors is None and self.target_vectors is None:
            raise ValueError(
                "freeze_vectors = true without vectors: name a file of them as source_vectors or "
                "target_vectors"
            )
        if self.tie_embeddings == "all" and self.target_vectors is not None:
            raise ValueError(
                "tie_embeddings 'all' makes one table for both sides: name its vectors as "
                "source_vectors alone"
            )
        if self.backend == "fused" and self.layer_norm:
            raise ValueError("layer_norm inside the cell needs backend = 'reference'")
        if self.backend == "fused" and self.cell == "gru" and self.gru_form == "before":
            raise ValueError(
                "gru_form 'before' needs backend = 'reference' (torch has only 'after')"
            )
        return self
