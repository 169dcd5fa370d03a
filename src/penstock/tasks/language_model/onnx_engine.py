"""A language model on ONNX Runtime."""

from __future__ import annotations

import numpy as np

from penstock.bundle import Bundle
from penstock.runtime.engine import as_ids
from penstock.runtime.onnx.graph_engine import Array, GraphEngine
from penstock.runtime.onnx.interface import language_model_spec
from penstock.special_tokens import EOS_ID


class OnnxLanguageModel(GraphEngine):
    """`read`, `score` and `states` of a language model."""

    functions = ("read", "score", "states")

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        config = bundle.config.model
        every = (("h", "c"), ("h",))
        vocab_size = bundle.source_tokenizer.vocab_size
        specs = tuple(language_model_spec(config, parts, vocab_size) for parts in every)
        super().__init__(bundle, specs, threads)
        self._parts = every[specs.index(self._session.spec)]
        self._size = (config.num_layers, config.hidden_size)

    def read(
        self, ids: Array, h: Array | None = None, c: Array | None = None
    ) -> tuple[Array, Array, Array | None]:
        """Read ids (B, T) on from a state: log-probabilities (B, V) of what follows, and it."""
        batch, width = ids.shape
        last = as_ids(range(width - 1, batch * width, width))
        log_probs, *state = self._from(ids, last, h, c, "log_probs")
        return log_probs, state[0], state[1] if len(state) > 1 else None

    def score(
        self, inputs: Array, targets: Array, h: Array | None = None, c: Array | None = None
    ) -> tuple[Array, Array, Array, Array | None]:
        """Log-probability of each target (B, T), the likeliest id there, and the state after."""
        log_probs, *state = self._from(inputs, np.arange(inputs.size), h, c, "log_probs")
        chosen = np.take_along_axis(log_probs, targets.reshape(-1, 1), 1)[:, 0]
        best = log_probs.argmax(1)
        shape = inputs.shape
        after = state[1] if len(state) > 1 else None
        return chosen.reshape(shape), best.reshape(shape), state[0], after

    def states(self, ids: Array, lengths: Array) -> tuple[Array]:
        """Top states (B, S, H) of lines, each read as if after the end of another."""
        begun = np.pad(ids, ((0, 0), (1, 0)), constant_values=EOS_ID)
        states = self._from(begun, np.zeros(1, np.int64), None, None, "states")[0]
        return (states[:, 1:],)

    def _from(
        self, ids: Array, positions: Array, h: Array | None, c: Array | None, output: str
    ) -> list[Array]:
        """An output, and the state after."""
        layers, size = self._size
        zeros = np.zeros((layers, len(ids), size), np.float32)
        given = {"h": zeros if h is None else h, "c": zeros if c is None else c}
        state = {part: given[part] for part in self._parts}
        names = [output, *(f"{part}_next" for part in self._parts)]
        return self._call(names, ids=ids, positions=positions, **state)
