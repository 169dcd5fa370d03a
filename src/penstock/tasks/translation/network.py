"""The translation model of a run."""

from __future__ import annotations

from penstock.config import RunConfig
from penstock.nn.frozen_transformer import FrozenTransformer
from penstock.nn.seq2seq import Seq2Seq


def build_network(
    config: RunConfig,
    *,
    source_size: int,
    target_size: int,
    transformer: FrozenTransformer | None = None,
) -> Seq2Seq:
    """A network with its first weights (see `Learning.network`)."""
    sizes = {"source_size": source_size, "target_size": target_size}
    return Seq2Seq(config.model, **sizes, transformer=transformer)
