"""The network of a new run, initialized by the run's seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from penstock.config import RunConfig
from penstock.nn.frozen_transformer import FrozenTransformer
from penstock.runtime.pretrained_encoder import read_transformer
from penstock.text import Tokenizer
from penstock.training.examples import Report

N = TypeVar("N", bound=nn.Module)


def initial_network(
    build: Callable[..., N],
    config: RunConfig,
    source: Tokenizer,
    target: Tokenizer,
    device: torch.device,
    transformer: FrozenTransformer | None = None,
) -> N:
    """Build the network for these vocabularies (`build` is `Learning.network`)."""
    torch.manual_seed(config.seed)
    sizes = {"source_size": source.vocab_size, "target_size": target.vocab_size}
    return build(config, **sizes, transformer=transformer).to(device)


def configured_transformer(
    config: RunConfig, report: Report
) -> tuple[FrozenTransformer, Tokenizer] | tuple[None, None]:
    """Read the configured encoder, which is not in checkpoints, and its tokenizer."""
    directory = config.model.transformer
    if directory is None:
        return None, None
    limit = config.data.max_source_tokens
    transformer, tokenizer = read_transformer(directory, max_tokens=limit)
    width = transformer.embedding_dim
    report(f"{directory}: a frozen {transformer.summary}, vectors of {width} numbers")
    return transformer, tokenizer
