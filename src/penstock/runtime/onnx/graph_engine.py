"""The functions of a language model, a classifier or a cloze, each from one graph.

They are called and take what the networks' methods of the same names take; see
`penstock.runtime.engine.Engine`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.config import ModelConfig
from penstock.errors import BundleError
from penstock.runtime.onnx.interface import (
    GRAPH_ROLE,
    GraphSpec,
    classifier_spec,
    cloze_spec,
    language_model_spec,
)
from penstock.runtime.onnx.session import GraphSession
from penstock.special_tokens import BOS_ID, EOS_ID

Array = NDArray[Any]


class GraphEngine:
    """What the three engines share: one graph, and its functions by name.

    Args:
        files: a bundle's verified files by role.
        specs: the forms that the graph may have.
        place: of the bundle, for messages.
        threads: that compute one call; 0 for as many as there are cores.

    Raises:
        BundleError: the graph is missing, damaged, or not this model's.
    """

    functions: tuple[str, ...] = ()
    device = "cpu"

    def __init__(
        self,
        files: Mapping[str, bytes],
        specs: tuple[GraphSpec, ...],
        *,
        place: str,
        threads: int = 1,
    ) -> None:
        if GRAPH_ROLE not in files:
            raise BundleError(
                f"{place}: it has no {GRAPH_ROLE}; make one with 'penstock export', or use "
                "--engine torch"
            )
        self._session = GraphSession(
            files[GRAPH_ROLE], place=f"{place}/{GRAPH_ROLE}", specs=specs, threads=threads
        )

    def run(self, function: str, /, *inputs: Array | None) -> tuple[Array | None, ...]:
        """Call a function; see `Engine.run`."""
        assert function in self.functions, f"no function {function!r}"
        return getattr(self, function)(*inputs)

    def _call(self, outputs: list[str], **inputs: Array) -> list[Array]:
        return self._session.run(outputs, inputs)


class OnnxLanguageModel(GraphEngine):
    """`read`, `score` and `states` of a language model."""

    functions = ("read", "score", "states")

    def __init__(
        self,
        config: ModelConfig,
        files: Mapping[str, bytes],
        *,
        vocab_size: int,
        place: str,
        threads: int = 1,
    ) -> None:
        every = (("h", "c"), ("h",))
        specs = tuple(language_model_spec(config, parts, vocab_size) for parts in every)
        super().__init__(files, specs, place=place, threads=threads)
        self._parts = every[specs.index(self._session.spec)]
        self._size = (config.num_layers, config.hidden_size)

    def read(
        self, ids: Array, h: Array | None = None, c: Array | None = None
    ) -> tuple[Array, Array, Array | None]:
        """Read ids (B, T) on from a state: log-probabilities (B, V) of what follows, and it."""
        batch, width = ids.shape
        last = np.arange(1, batch + 1) * width - 1
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


class OnnxClassifier(GraphEngine):
    """`probabilities` and `states` of a classifier."""

    functions = ("probabilities", "states")

    def __init__(
        self,
        config: ModelConfig,
        files: Mapping[str, bytes],
        *,
        labels: int,
        place: str,
        threads: int = 1,
    ) -> None:
        super().__init__(files, (classifier_spec(config, labels),), place=place, threads=threads)

    def probabilities(self, ids: Array, lengths: Array) -> tuple[Array]:
        """Of each label (B, C), from padded ids (B, S)."""
        return (self._call(["probabilities"], ids=ids, lengths=lengths)[0],)

    def states(self, ids: Array, lengths: Array) -> tuple[Array]:
        """The top layer's states (B, S, H)."""
        return (self._call(["states"], ids=ids, lengths=lengths)[0],)


class OnnxCloze(GraphEngine):
    """`contexts`, `log_probs` and `states` of a cloze model."""

    functions = ("contexts", "log_probs", "states")

    def __init__(
        self,
        config: ModelConfig,
        files: Mapping[str, bytes],
        *,
        vocab_size: int,
        place: str,
        threads: int = 1,
    ) -> None:
        super().__init__(files, (cloze_spec(config, vocab_size),), place=place, threads=threads)
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
