"""A bundle's network in torch: built from its files, and written as files."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from penstock.bundle import Bundle
from penstock.config import RunConfig
from penstock.errors import BundleError
from penstock.nn.frozen_transformer import FrozenTransformer, find_transformer
from penstock.runtime.pretrained_encoder import (
    transformer_files,
    transformer_from_files,
)
from penstock.tasks import TASKS


def load_network(bundle: Bundle, device: torch.device | str = "cpu") -> nn.Module:
    """The network of a bundle with its weights, in evaluation mode and without gradients.

    Raises:
        BundleError: weights that do not fit the configuration, or are not finite.
    """
    config, place = bundle.config, bundle.place
    bundle.require_files()
    if "weights" not in bundle.files:
        raise BundleError(
            f"{place}: an export has no weights for torch; use the run that was exported"
        )
    try:
        tensors = load_tensors(bundle.files["weights"])
    except SafetensorError as error:
        raise BundleError(f"{place}: weights are not safetensors: {error}") from None
    sizes = {
        "source_size": bundle.source_tokenizer.vocab_size,
        "target_size": bundle.target_tokenizer.vocab_size,
    }
    transformer = _transformer(bundle)
    wrong = _misfit(config, sizes, tensors, transformer)
    if wrong is not None:
        raise BundleError(
            f"{place}: weights do not fit the configuration (first: {wrong}); "
            "bundle.json and the weights belong to different models"
        )
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise BundleError(
                f"{place}: the weight {name} has numbers that are not finite; restore the "
                "bundle from its source or train again"
            )
    network = TASKS[config.task].learning().network(config, **sizes, transformer=transformer)
    with torch.no_grad():
        for name, parameter in _parameters(network):
            parameter.copy_(tensors[name])
    return network.eval().requires_grad_(requires_grad=False).to(device)


def network_files(network: nn.Module) -> dict[str, bytes]:
    """What a bundle keeps of a network, by role."""
    tensors = {name: p.detach().contiguous() for name, p in _parameters(network)}
    files = {"weights": save_tensors(tensors)}
    transformer = find_transformer(network)
    if transformer is not None:
        files |= transformer_files(transformer)
    return files


@contextmanager
def evaluating(network: nn.Module) -> Generator[None]:
    """Switch dropout and gradients off for a block; afterwards the mode is as before."""
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        network.train(was_training)


def _parameters(network: nn.Module) -> list[tuple[str, torch.Tensor]]:
    return list(network.named_parameters())  # tied parameters are named once


def _transformer(bundle: Bundle) -> FrozenTransformer | None:
    if bundle.config.model.transformer is None:
        return None
    try:
        return transformer_from_files(
            bundle.files,
            bundle.source_tokenizer,
            max_tokens=bundle.config.data.max_source_tokens,
        )
    except ValueError as error:
        raise BundleError(
            f"{bundle.place}: {error}; restore the bundle from its source or train again"
        ) from None


def _misfit(
    config: RunConfig,
    sizes: dict[str, int],
    tensors: dict[str, torch.Tensor],
    transformer: FrozenTransformer | None,
) -> str | None:
    """The first weight that is missing, unexpected, or of another shape or dtype.

    Found on shapes alone, so that a configuration of absurd sizes takes no memory.
    """
    model = config.model
    most = max(len(tensors), 100)  # a task may have fewer weights than a key that it never reads
    if max(model.num_layers, model.encoder_layers, model.decoder_layers) > most:
        return "layers"
    plain = config.model_copy(
        update={"model": model.model_copy(update={"initialization": "uniform"})}
    )
    try:
        with torch.device("meta"):
            network = TASKS[config.task].learning().network(plain, **sizes, transformer=transformer)
        wanted = dict(_parameters(network))
    except (RuntimeError, OverflowError, TypeError, ValueError):
        return "sizes"
    wrong = wanted.keys() ^ tensors.keys() or {
        name
        for name, tensor in tensors.items()
        if tensor.shape != wanted[name].shape or tensor.dtype != wanted[name].dtype
    }
    return min(wrong, default=None)
