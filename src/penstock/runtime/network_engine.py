"""The torch engine of every task: a network's methods as functions of numpy arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from penstock.bundle import Bundle
from penstock.errors import UsageError
from penstock.nn.state import State
from penstock.runtime.engine import Array
from penstock.runtime.torch_network import evaluating, load_network


class NetworkEngine:
    """Calls a network's methods without gradients and dropout (see `Engine`).

    A state goes in and comes out as two arrays, `h` and `c`; `c` is None except for an LSTM.

    Args:
        network: with its weights; later changes to them take effect here.
        device: where its weights are.
    """

    def __init__(self, network: nn.Module, device: torch.device | str = "cpu") -> None:
        self.network = network
        self._device = torch.device(device)

    @classmethod
    def load(cls, bundle: Bundle, device: torch.device | str = "cpu") -> NetworkEngine:
        """Build the network of a bundle (see `load_network` for its errors)."""
        return cls(load_network(bundle, device), device)

    @property
    def device(self) -> str:
        """Where it computes."""
        return str(self._device)

    def run(self, function: str, /, *inputs: Array | None) -> tuple[Array | None, ...]:
        """Call a method of the network; see `Engine.run`."""
        tensors = [None if x is None else torch.from_numpy(x).to(self._device) for x in inputs]
        method = getattr(self.network, function, None)
        if method is None:
            raise UsageError(f"a {type(self.network).__name__} has no {function}")
        with evaluating(self.network):
            outputs = method(*tensors)
        return tuple(_arrays(outputs))


Outputs = Tensor | State | Iterable[Tensor | State | None] | None


def _arrays(outputs: Outputs) -> Iterator[Array | None]:
    if outputs is None:
        yield None
    elif isinstance(outputs, Tensor):
        exact = outputs.float() if outputs.is_floating_point() else outputs
        yield exact.cpu().numpy()
    elif isinstance(outputs, State):
        yield from _arrays(outputs.h)
        yield from _arrays(outputs.c)
    else:
        for output in outputs:
            yield from _arrays(output)
