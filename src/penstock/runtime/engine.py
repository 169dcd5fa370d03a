"""What a loaded model computes, in numpy arrays: what uses a model needs no torch above this."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from penstock.bundle import Bundle
from penstock.errors import BundleError
from penstock.runtime.engine_choice import EngineName, choose_engine
from penstock.tasks import TASKS

Array = NDArray[Any]


class Engine(Protocol):
    """A model's named functions, from arrays to arrays.

    Their names and arguments are those of the network's methods: a classifier has
    `probabilities`, a language model `read` and `score` (see `tasks/*/network.py`). Every engine of
    a task has the same ones.
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


def load_engine(
    bundle: Bundle,
    *,
    device: str = "cpu",
    engine: EngineName = "auto",
    threads: int | None = None,
) -> Engine:
    """The engine that runs a bundle's network.

    Args:
        bundle: with its files.
        device: where torch runs.
        engine: see `choose_engine`, also for errors.
        threads: on the CPU; default: all cores for torch, one for ONNX Runtime.

    Raises:
        BundleError: damaged files, or files of another model.
    """
    make = TASKS[bundle.config.task].graph_engine
    if make is None and engine == "auto" and "weights" in bundle.files:
        engine = "torch"
    if choose_engine(bundle, engine, device, threads) == "onnx":
        if make is None:
            raise BundleError(
                f"{bundle.place}: the graphs of a model for {bundle.config.task} give no vectors; "
                "use the run it was exported from, on torch"
            )
        return make()(bundle, threads or 1)
    from penstock.runtime.device import prepare_torch
    from penstock.runtime.network_engine import NetworkEngine

    return NetworkEngine.load(bundle, prepare_torch(device, threads))


def required(array: Array | None) -> Array:
    """An output that every model has.

    Raises:
        BundleError: it is not a number somewhere.
    """
    assert array is not None
    require_numbers(array)
    return array


def require_numbers(outputs: Array) -> None:
    """Check that a model's outputs are numbers.

    Raises:
        BundleError: NaN among them: finite weights too large to compute with.
    """
    if np.isnan(outputs.sum()) and np.isnan(outputs).any():  # the sum is the quicker question
        raise BundleError(
            "the model's outputs are not numbers (NaN): its weights are too large to compute with; "
            "restore it or train again"
        )


def as_ids(rows: Any) -> NDArray[np.int64]:
    """Ids as an engine takes them."""
    return np.asarray(rows, dtype=np.int64)
