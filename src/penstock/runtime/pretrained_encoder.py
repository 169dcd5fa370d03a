"""A pretrained encoder with its tokenizer: from its own directory, and as files of a bundle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from penstock.bundle.bundle_files import TRANSFORMER_ROLES
from penstock.errors import ConfigError, DataError
from penstock.nn.frozen_transformer import FrozenTransformer, find_transformer
from penstock.text import Tokenizer

CONFIG_ROLE, WEIGHTS_ROLE = TRANSFORMER_ROLES


def read_transformer(
    directory: str | Path, *, max_tokens: int
) -> tuple[FrozenTransformer, Tokenizer]:
    """Read an encoder's directory.

    Args:
        directory: with `config.json`, `model.safetensors` and `tokenizer.json`.
        max_tokens: the longest row that it will be given, EOS included.

    Raises:
        MissingExtraError: `transformers` is not installed.
        DataError: the directory has no usable encoder, or parts of two.
        ConfigError: the encoder takes shorter rows only.
    """
    tokenizer = Tokenizer.pretrained(directory)
    assert tokenizer.special_tokens is not None
    special = tokenizer.special_tokens
    transformer = FrozenTransformer.read(
        directory, first=special.first, last=special.last, unknown=special.unknown
    )
    try:
        _require_rows(transformer, tokenizer)
    except ValueError as error:
        raise DataError(f"{error}; take both from one model", path=directory) from None
    longest = transformer.max_tokens
    if longest is not None and max_tokens > longest:
        raise ConfigError(
            f"data.max_source_tokens = {max_tokens}: the encoder in {directory} takes rows of at "
            f"most {longest} tokens, EOS included; set data.max_source_tokens = {longest}"
        )
    return transformer, tokenizer


def transformer_files(transformer: FrozenTransformer) -> dict[str, bytes]:
    """What a bundle keeps of the encoder, by role."""
    config = json.dumps(transformer.config(), sort_keys=True) + "\n"
    return {CONFIG_ROLE: config.encode(), WEIGHTS_ROLE: save_tensors(transformer.tensors())}


def transformer_from_files(
    files: Mapping[str, bytes], tokenizer: Tokenizer, *, max_tokens: int
) -> FrozenTransformer:
    """The encoder that `transformer_files` gave.

    Raises:
        MissingExtraError: `transformers` is not installed.
        ValueError: damaged files, or another tokenizer.
    """
    special = tokenizer.special_tokens
    if special is None:
        raise ValueError("the source tokenizer is not the transformer's")
    try:
        config = json.loads(files[CONFIG_ROLE])
        tensors = load_tensors(files[WEIGHTS_ROLE])
    except (ValueError, RecursionError, SafetensorError) as error:
        raise ValueError(f"the transformer's files are damaged: {error}") from None
    transformer = FrozenTransformer.from_parts(
        config, tensors, first=special.first, last=special.last, unknown=special.unknown
    )
    _require_rows(transformer, tokenizer)
    if transformer.max_tokens is not None and max_tokens > transformer.max_tokens:
        raise ValueError(
            f"data.max_source_tokens {max_tokens} is more than the transformer's "
            f"{transformer.max_tokens}"
        )
    return transformer


def fingerprint(network: nn.Module) -> str:
    """A hash of the weights and configuration of a network's encoder; empty without one."""
    transformer = find_transformer(network)
    if transformer is None:
        return ""
    digest = hashlib.sha256()
    for content in transformer_files(transformer).values():
        digest.update(content)
    return digest.hexdigest()


def _require_rows(transformer: FrozenTransformer, tokenizer: Tokenizer) -> None:
    if tokenizer.vocab_size > transformer.num_embeddings:
        raise ValueError(
            f"its tokenizer has ids up to {tokenizer.vocab_size}, its model "
            f"{transformer.num_embeddings} of them"
        )
