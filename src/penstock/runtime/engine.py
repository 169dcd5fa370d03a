"""What a loaded model computes, behind numpy arrays: nothing above this needs torch."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from penstock.bundle import Bundle

Array = NDArray[Any]


class Engine(Protocol):
    """A model's named functions, from arrays to arrays.

    What they are called and take is the network's: a classifier has `probabilities`, a language
    model `read` and `score` (see `tasks/*/network.py`). Every engine of a task has the same ones.
    """

    @property
    def device(self) -> str:
        """Where it computes, as torch names devices."""
        ...

    def run(self, function: str, /, *inputs: Array | None) -> tuple[Array | None, ...]:
        """Call a function.

        Args:
            function: its name.
            inputs: its arguments in order; ids and lengths are int64, all else float32.

        Returns:
            What it returns, float32 or int64; None for a part that this model lacks, such as the
            cell of a GRU's state.
        """
        ...


def load_engine(bundle: Bundle, *, device: str = "cpu") -> Engine:
    """The engine that runs a bundle's network.

    Raises:
        BundleError: weights that do not fit the configuration, or are not finite.
    """
    from penstock.runtime.network_engine import NetworkEngine

    return NetworkEngine.load(bundle, device)


def required(array: Array | None) -> Array:
    """An output that every model has."""
    assert array is not None
    return array


def as_ids(rows: Any) -> NDArray[np.int64]:
    """Ids as an engine takes them."""
    return np.asarray(rows, dtype=np.int64)
