"""The hardware's limit for a model: its matrix products alone, as few and as large as possible.

Every product of an update (forward, gradient of the input, gradient of the weight) runs on random
numbers, without gates, softmax, loss, optimizer or the model's Python code. Recurrent products are
joined into one over all positions, which no real recurrence can do.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch

from penstock.config import ModelConfig
from penstock.nn.cells import cell_spec


@dataclass(frozen=True)
class Product:
    """One weight of the model applied to `rows` rows: (rows, inner) · (inner, outer)."""

    name: str
    rows: int
    inner: int
    outer: int

    @property
    def flops(self) -> int:
        """Multiplications and additions, forward and both gradients."""
        return 6 * self.rows * self.inner * self.outer


def training_products(
    config: ModelConfig, *, vocab_size: int, source_tokens: int, target_tokens: int
) -> list[Product]:
    """The products of one update; the numbers of tokens exclude padding."""
    spec, hidden, width = cell_spec(config.cell), config.hidden_size, config.embedding_size
    products: list[Product] = []

    def layer_product(name: str, tokens: int, below: int, size: int) -> Product:
        recurrent = size if spec.recurrent_weights else 0
        return Product(name, tokens, below + recurrent, spec.rows(below, size))

    directions = 2 if config.bidirectional else 1
    for layer in range(config.encoder_layers):
        below = width if layer == 0 else hidden
        name = f"encoder layer {layer + 1}"
        one = layer_product(name, source_tokens, below, hidden // directions)
        products += [one] * directions
    attends = config.attention != "none"
    for layer in range(config.decoder_layers):
        if attends:
            below = width if layer == 0 else 2 * hidden if layer == 1 else hidden
        else:
            below = width + hidden if layer == 0 else hidden
        products.append(layer_product(f"decoder layer {layer + 1}", target_tokens, below, hidden))
    if config.attention == "general":
        products.append(Product("attention keys", source_tokens, hidden, hidden))
    features = 2 * hidden if attends else hidden
    if readout := config.resolved_readout_size:
        products.append(Product("readout", target_tokens, features, readout))
    products.append(Product("output", target_tokens, readout or features, vocab_size))
    return products


def seconds_of(
    products: list[Product], dtype: torch.dtype, *, repeats: int, device: torch.device
) -> float:
    """Median seconds of all products of one update."""
    make = partial(torch.randn, dtype=dtype, device=device)
    tensors = [
        (
            make(p.rows, p.inner),
            make(p.inner, p.outer),
            make(p.rows, p.outer),
        )
        for p in products
    ]
    times = []
    for _ in range(repeats + 1):
        start = seconds_now(device)
        for x, weight, gradient in tensors:
            torch.mm(x, weight)
            torch.mm(gradient, weight.t())
            torch.mm(x.t(), gradient)
        times.append(seconds_now(device) - start)
    return median(times[1:])  # the first run warms up


def seconds_now(device: torch.device) -> float:
    """The clock, once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
