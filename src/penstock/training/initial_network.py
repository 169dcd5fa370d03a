"""The network of a new run, initialized by the run's seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from penstock.bundle import Bundle, load_bundle
from penstock.config import RunConfig
from penstock.errors import ConfigError
from penstock.nn.cells.cell import Cell
from penstock.nn.frozen_transformer import FrozenTransformer
from penstock.nn.loss import CHUNK_ROWS
from penstock.runtime.device import machine_memory
from penstock.runtime.pretrained_encoder import fingerprint, read_transformer
from penstock.runtime.torch_network import load_network
from penstock.special_tokens import RESERVED
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
    *,
    positions: int = 0,
) -> N:
    """Build the network for these vocabularies (`build` is `Learning.network`).

    A run that goes on from a model has its weights.

    Args:
        build, config, source, target, device, transformer: as there.
        positions: of a full batch, on each side.

    Raises:
        ConfigError: its training needs more memory than the device has.
    """
    sizes = {"source_size": source.vocab_size, "target_size": target.vocab_size}
    require_memory(build, config, device, **sizes, transformer=transformer, positions=positions)
    torch.manual_seed(config.seed)
    network = build(config, **sizes, transformer=transformer)
    if config.start.model is not None:
        _copy_weights(network, load_bundle(config.start.model))
    return network.to(device)


def _copy_weights(network: nn.Module, start: Bundle) -> None:
    """Copy a model's weights; the rows of added symbols keep those that they have.

    Raises:
        ConfigError: the frozen encoder is another one.
    """
    model = load_network(start)
    if fingerprint(model) != fingerprint(network):
        raise ConfigError(
            f"model.transformer: not the encoder that {start.place} was trained with; put that one "
            "back"
        )
    kept = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter[: len(kept[name])] = kept[name]


def require_memory(
    build: Callable[..., nn.Module],
    config: RunConfig,
    device: torch.device,
    *,
    source_size: int = len(RESERVED) + 1,
    target_size: int = len(RESERVED) + 1,
    transformer: FrozenTransformer | None = None,
    positions: int = 0,
) -> None:
    """Check that weights, gradients, optimizer and a batch fit, before any is allocated.

    The default sizes are those of the smallest vocabularies, for a check before data is read. A
    batch that exceeds a GPU's memory is computed in parts; the CPU's has no such error to act on.

    Raises:
        ConfigError: they do not.
    """
    available = machine_memory(device)
    if available is None or (transformer is None and config.model.transformer is not None):
        return
    plain = config.model.model_copy(update={"initialization": "uniform"})
    with torch.device("meta"):
        network = build(
            config.model_copy(update={"model": plain}),
            source_size=source_size,
            target_size=target_size,
            transformer=transformer,
        )
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in network.parameters() if not p.requires_grad)
    copies = {
        "weights": 1,
        "gradients": 1,
        "optimizer": 0 if config.training.optimizer == "sgd" else 2,
        "average": 0 if config.training.average_decay is None else 1,
    }
    needed = 4 * (trained * sum(copies.values()) + frozen)
    batch = activation_bytes(network, positions, target_size) if device.type == "cpu" else 0
    if config.training.precision != "fp32":
        batch //= 2  # the processor may have bfloat16
    if needed + batch <= available:
        return
    parts = ", ".join(name for name, number in copies.items() if number)
    model = f"{trained + frozen:,} parameters need {needed / 1e9:,.1f} GB of memory to train"
    has = f"{device} has {available / 1e9:,.1f} GB"
    if needed > available:
        raise ConfigError(
            f"[model]: {model} ({parts}), and {has}; lower model.hidden_size, "
            "model.embedding_size, the layers or text.*.vocab_size"
        )
    raise ConfigError(
        f"[training]: {model}, a batch of {positions:,} tokens {batch / 1e9:,.1f} GB more, and "
        f"{has}; lower training.batch_tokens or training.batch_sentences, and raise "
        "training.accumulate instead"
    )


def activation_bytes(network: nn.Module, positions: int, vocab_size: int) -> int:
    """About what a batch keeps for its gradient in float32, attention left out.

    Args:
        network: its cells keep products, gates and states per position.
        positions: of the batch, on each side.
        vocab_size: of the logits, which are made and dropped chunk by chunk.
    """
    cells = [module for module in network.modules() if isinstance(module, Cell)]
    kept = sum(2 * cell.products_size + 4 * cell.hidden_size + cell.input_size for cell in cells)
    return 4 * (positions * kept + 2 * min(positions, CHUNK_ROWS) * vocab_size)


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
