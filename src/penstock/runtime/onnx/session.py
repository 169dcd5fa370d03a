"""An ONNX graph, checked and opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnxruntime as ort
from numpy.typing import NDArray

from penstock.config.option_model import usable_threads
from penstock.errors import BundleError, PenstockError
from penstock.runtime.onnx.graph_check import check_graph
from penstock.runtime.onnx.interface import GraphSpec

Arrays = dict[str, NDArray[Any]]


class RuntimeSession:
    """A graph opened by ONNX Runtime on the CPU.

    Args:
        content: the file.
        error: makes the error to raise from what ONNX Runtime says.
        threads: that compute one call.

    Raises:
        PenstockError: what `error` makes; ONNX Runtime cannot read the graph.
    """

    def __init__(
        self, content: bytes, error: Callable[[str], PenstockError], *, threads: int = 1
    ) -> None:
        self._error = error
        options = ort.SessionOptions()
        options.intra_op_num_threads = usable_threads(threads)
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # we report its errors
        # a waiting thread must not take a core from whoever computes
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # the same bytes may be a file in its own format too, which nobody checked
        options.add_session_config_entry("session.load_model_format", "ONNX")
        try:
            self._session = ort.InferenceSession(
                content,
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # to what failed already, said on standard output
                read_config_from_model=0,
            )
        except Exception as cause:  # noqa: BLE001 - the runtime has classes of its own
            raise self._failure("cannot read it", cause) from None

    @property
    def outputs(self) -> list[str]:
        """The names of the graph's outputs."""
        return [output.name for output in self._session.get_outputs()]

    def run(self, outputs: Sequence[str], inputs: Arrays) -> list[NDArray[Any]]:
        """Compute the named outputs.

        Raises:
            PenstockError: what `error` makes; the graph's own shapes contradict each other.
        """
        try:
            return self._session.run(outputs, inputs)  # pyright: ignore[reportReturnType]
        except Exception as cause:  # noqa: BLE001 - the runtime has classes of its own
            raise self._failure("cannot run it", cause) from None

    def _failure(self, what: str, cause: Exception) -> PenstockError:
        reason = str(cause).strip().split("\n")[0]
        return self._error(f"ONNX Runtime {ort.__version__} {what} ({reason})")


class GraphSession(RuntimeSession):
    """A graph of a bundle, checked before it is opened.

    Args:
        files: of the bundle, by role.
        role: of the graph.
        place: of the bundle, for messages.
        specs: the forms it may have; the first that its inputs and outputs fit is `spec`.
        threads: that compute one call.

    Raises:
        BundleError: the graph is missing, not one that penstock writes, or not for this model.
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        role: str,
        *,
        place: str,
        specs: tuple[GraphSpec, ...],
        threads: int = 1,
    ) -> None:
        if role not in files:
            raise BundleError(
                f"{place}: it has no {role}; make one with 'penstock export', or use --engine torch"
            )
        place = f"{place}/{role}"
        self.spec = check_graph(files[role], place=place, specs=specs)

        def error(reason: str) -> BundleError:
            again = "export the model again with 'penstock export'"
            return BundleError(f"{place}: {reason}; {again}")

        super().__init__(files[role], error, threads=threads)
