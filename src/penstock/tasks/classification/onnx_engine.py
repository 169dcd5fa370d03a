"""A classifier on ONNX Runtime."""

from __future__ import annotations

from penstock.bundle import Bundle
from penstock.runtime.onnx.graph_engine import Array, GraphEngine
from penstock.runtime.onnx.interface import classifier_spec


class OnnxClassifier(GraphEngine):
    """`probabilities` and `states` of a classifier."""

    functions = ("probabilities", "states")

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        spec = classifier_spec(bundle.config.model, len(bundle.labels))
        super().__init__(bundle, (spec,), threads)

    def probabilities(self, ids: Array, lengths: Array) -> tuple[Array]:
        """Of each label (B, C), from padded ids (B, S)."""
        return (self._call(["probabilities"], ids=ids, lengths=lengths)[0],)

    def states(self, ids: Array, lengths: Array) -> tuple[Array]:
        """The top layer's states (B, S, H)."""
        return (self._call(["states"], ids=ids, lengths=lengths)[0],)
