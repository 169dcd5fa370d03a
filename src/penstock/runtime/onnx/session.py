"""An ONNX graph, checked and opened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from penstock.errors import BundleError
from penstock.runtime.onnx.graph_check import check_graph
from penstock.runtime.onnx.interface import GraphSpec

Arrays = dict[str, NDArray[Any]]


class GraphSession:
    """A graph that runs on the CPU.

    Args:
        content: the file.
        place: what it is called in messages.
        specs: the forms it may have; the first that its inputs and outputs fit is `spec`.
        threads: that compute one call; 0 for as many as there are cores.

    Raises:
        BundleError: not a graph that penstock writes, or not for this model.
    """

    def __init__(
        self, content: bytes, *, place: str, specs: tuple[GraphSpec, ...], threads: int = 1
    ) -> None:
        self.spec = check_graph(content, place=place, specs=specs)
        self._place = place
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # we report its errors
        # a waiting thread must not take a core from whoever computes
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(
                content,
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # to what failed already, said on standard output
                read_config_from_model=0,
            )
        except Exception as error:  # noqa: BLE001 - the runtime has classes of its own
            raise self._error("cannot read it", error) from None

    def run(self, outputs: Sequence[str], inputs: Arrays) -> list[NDArray[Any]]:
        """Compute the named outputs.

        Raises:
            BundleError: the graph's own shapes contradict each other.
        """
        try:
            return [np.asarray(value) for value in self._session.run(outputs, inputs)]
        except Exception as error:  # noqa: BLE001 - the runtime has classes of its own
            raise self._error("cannot run it", error) from None

    def _error(self, what: str, error: Exception) -> BundleError:
        reason = str(error).strip().split("\n")[0]
        return BundleError(
            f"{self._place}: ONNX Runtime {ort.__version__} {what} ({reason}); export the model "
            "again with 'penstock export'"
        )
