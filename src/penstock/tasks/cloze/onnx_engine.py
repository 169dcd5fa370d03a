"""A cloze model on ONNX Runtime."""

from __future__ import annotations

import numpy as np

from penstock.bundle import Bundle
from penstock.runtime.onnx.graph_engine import Array, GraphEngine
from penstock.runtime.onnx.interface import cloze_spec
from penstock.special_tokens import BOS_ID, EOS_ID


class OnnxCloze(GraphEngine):
    """`contexts`, `log_probs` and `states` of a cloze model."""

    functions = ("contexts", "log_probs", "states")

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        config = bundle.config.model
        spec = cloze_spec(config, bundle.source_tokenizer.vocab_size)
        super().__init__(bundle, (spec,), threads)
        self._nothing = np.zeros((1, config.hidden_size), np.float32)

    def contexts(self, ids: Array, lengths: Array) -> tuple[Array]:
        """What surrounds each position, (B, S, H)."""
        return (self._sentences("contexts", ids, lengths),)

    def states(self, ids: Array, lengths: Array) -> tuple[Array]:
        """A contextual vector per token, (B, S, H)."""
        return (self._sentences("states", ids, lengths),)

    def log_probs(self, contexts: Array) -> tuple[Array]:
        """Of every token, (N, V), from what surrounds N blanks, (N, H)."""
        ids = np.array([[BOS_ID, EOS_ID]])
        return (self._call(["log_probs"], ids=ids, lengths=np.array([2]), blanks=contexts)[0],)

    def _sentences(self, output: str, ids: Array, lengths: Array) -> Array:
        return self._call([output], ids=ids, lengths=lengths, blanks=self._nothing)[0]
