"""`[model]`: the network."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from penstock.config.attention_table import attention_entry
from penstock.config.cell_table import cell_entry, check_cell
from penstock.config.section import Auto, Section


class ModelConfig(Section):
    """The network.

    Translation has a recurrent encoder and decoder, with or without attention; the other tasks
    have one recurrent stack of `num_layers`. A bidirectional stack gives each direction half of
    `hidden_size`.
    """

    cell: str = "lstm"
    """The recurrent cell."""
    gru_form: Literal["after", "before"] = "after"
    """Where the reset gate acts: `after` the matrix product (cuDNN's form) or `before` it (the
    book's; needs `backend = "reference"`)."""
    embedding_size: Auto[int] = Field(default=256, ge=1, le=65_536)
    """Width of a token's embedding."""
    hidden_size: Auto[int] = Field(default=512, ge=1, le=65_536)
    """Width of a layer's state; a bidirectional layer gives each direction half of it."""
    num_layers: int = Field(default=1, ge=1, le=100)
    """Layers of the recurrent stack."""
    encoder_layers: Auto[int] = Field(default=1, ge=1, le=100)
    """Layers of the encoder."""
    decoder_layers: Auto[int] = Field(default=2, ge=1, le=100)
    """Layers of the decoder."""
    bidirectional: bool = True
    """Read the source (or the only text) in both directions."""
    residual: bool = False
    """Add a layer's input to its output where the widths agree."""
    layer_norm: bool = False
    """Normalize both matrix products inside the cell; needs `backend = "reference"`."""
    attention: Auto[str] = "general"
    """How the decoder scores source positions; `none` leaves it the encoder's final state alone."""
    attention_size: int | None = Field(default=None, ge=1, le=65_536)
    """Width of attention's queries and keys; default: `hidden_size`."""
    attention_heads: int = Field(default=4, ge=1, le=1024)
    """Heads of `multihead` attention."""
    readout_size: int | None = Field(default=None, ge=0, le=65_536)
    """Width of the layer before the output, 0 for no such layer; default: `embedding_size` with
    attention or tied embeddings, otherwise 0."""
    scale_embeddings: Auto[bool] = False
    """Give inputs unit variance: embeddings are drawn from N(0, 1/E) and multiplied by √E."""
    tie_embeddings: Auto[Literal["none", "decoder", "all"]] = "decoder"
    """Share weights: `decoder` uses one matrix for the target's embedding and the output, `all` for
    the source's embedding too (needs `text.shared`)."""
    source_vectors: str | None = None
    """File of word vectors (word2vec, GloVe, fastText) to initialize the source's embedding."""
    target_vectors: str | None = None
    """File of word vectors to initialize the target's embedding."""
    freeze_vectors: bool = False
    """Do not train embeddings that were initialized from a file."""
    transformer: str | None = None
    """Folder of a pretrained Transformer encoder whose frozen features replace the source's
    embedding; it brings its own tokenizer (extra `transformers`)."""
    pooling: Literal["final", "mean", "max"] = "max"
    """How the states of a sentence become one vector."""
    dropout: Auto[float] = Field(default=0.3, ge=0, lt=1)
    """Dropout between layers, after the encoder and before the output."""
    embedding_dropout: Auto[float] = Field(default=0.1, ge=0, lt=1)
    """Dropout on the embeddings."""
    token_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of input tokens replaced by `<unk>` in training."""
    weight_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout on the recurrent weights (DropConnect)."""
    variational_dropout: bool = True
    """Use one dropout mask for all positions of a sequence."""
    initialization: Literal["uniform", "xavier", "orthogonal", "normal"] = "uniform"
    """Initial weights: `uniform` in ±0.1, `xavier`, `orthogonal` recurrent matrices, or `normal`
    with deviation 0.01; the first and third start an LSTM with forget bias 1."""
    backend: Literal["fused", "reference"] = "fused"
    """`fused` computes a layer over all positions at once; `reference` steps through the cell's
    equations. Both give the same results."""

    @property
    def resolved_readout_size(self) -> int:
        """The readout's width, 0 for none."""
        if self.readout_size is not None:
            return self.readout_size
        plain = self.attention == "none" and self.tie_embeddings == "none"
        return 0 if plain else self.embedding_size

    @field_validator("cell")
    @classmethod
    def _known_cell(cls, name: str) -> str:
        cell_entry(name)
        return name

    @field_validator("attention")
    @classmethod
    def _known_attention(cls, name: str) -> str:
        attention_entry(name)
        return name

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.bidirectional and self.hidden_size % 2:
            raise ValueError(
                f"hidden_size {self.hidden_size} must be even: a bidirectional encoder gives each "
                "direction half of it"
            )
        width = self.attention_size or self.hidden_size
        if attention_entry(self.attention).has_heads and width % self.attention_heads:
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
        check_cell(
            self.cell,
            gru_form=self.gru_form,
            layer_norm=self.layer_norm,
            weight_dropout=self.weight_dropout,
            backend=self.backend,
        )
        return self
