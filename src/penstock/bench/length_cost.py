"""Time and memory by the length of a text: a recurrent network's grow linearly, or less."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import log
from multiprocessing import get_context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from penstock.config import ModelConfig

_VOCAB_SIZE, _WARM_UP = 256, 100


@dataclass(frozen=True, slots=True)
class LengthCost:
    """What one text of a length costs on one thread.

    Attributes:
        network: a language model or a classifier, of one layer of 128 units.
        cell: its cell.
        length: tokens.
        use_seconds: of a forward pass without gradients.
        training_seconds: of forward and backward pass.
        training_megabytes: peak memory of training, above that of a text of 100 tokens.
    """

    network: str
    cell: str
    length: int
    use_seconds: float
    training_seconds: float
    training_megabytes: float


def measure_lengths(cells: Sequence[str], lengths: Sequence[int]) -> Iterator[LengthCost]:
    """Measure both networks, each cell and length in a process of its own.

    Args:
        cells: names in `penstock.config.CELLS`.
        lengths: in tokens.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for network in _NETWORKS:
            for cell in cells:
                for length in lengths:
                    yield pool.submit(_measure, network, cell, length).result()


def growth(costs: Sequence[LengthCost], quantity: str) -> float:
    """The exponent p with which a quantity grows as length^p from the first to the last cost."""
    first, last = (max(getattr(costs[i], quantity), 1e-9) for i in (0, -1))
    return log(last / first) / log(costs[-1].length / costs[0].length)


def _measure(network: str, cell: str, length: int) -> LengthCost:
    import torch

    from penstock.config import ModelConfig

    torch.set_num_threads(1)
    torch.manual_seed(0)
    run = _NETWORKS[network](ModelConfig(cell=cell, embedding_size=64, hidden_size=128))
    run(_WARM_UP).backward()
    before = _peak_megabytes()
    begun = time.perf_counter()
    run(length).backward()
    trained = time.perf_counter()
    peak = _peak_megabytes() - before
    with torch.no_grad():
        run(length)
    used = time.perf_counter()
    return LengthCost(network, cell, length, used - trained, trained - begun, peak)


def _peak_megabytes() -> float:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / (1024 if sys.platform == "darwin" else 1) / 1024


def _language_model(config: ModelConfig) -> Callable[[int], Tensor]:
    """The loss of a text of so many tokens."""
    from penstock.tasks.language_model.network import LanguageModel

    network = LanguageModel(config, vocab_size=_VOCAB_SIZE)

    def loss(tokens: int) -> Tensor:
        ids = _text(tokens)
        return network.loss(ids, ids)[0]

    return loss


def _classifier(config: ModelConfig) -> Callable[[int], Tensor]:
    """The loss of a text of so many tokens; it is read in both directions."""
    import torch

    from penstock.tasks.classification.network import Classifier

    network = Classifier(config, vocab_size=_VOCAB_SIZE, num_labels=2)

    def loss(tokens: int) -> Tensor:
        return network.loss(_text(tokens), torch.tensor([tokens]), torch.tensor([1]))[0]

    return loss


def _text(tokens: int) -> Tensor:
    import torch

    return torch.randint(4, _VOCAB_SIZE, (1, tokens))


_NETWORKS = {"language model": _language_model, "classifier": _classifier}
