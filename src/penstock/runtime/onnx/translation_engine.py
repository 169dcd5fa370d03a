"""Translation's step on ONNX Runtime: encode once, then step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.config import ModelConfig
from penstock.data.padding import padded_ids
from penstock.runtime.network_trace import LayerTrace, NetworkTrace
from penstock.runtime.onnx.interface import (
    ENCODER_ROLE,
    STATE_NAMES,
    STEP_ROLE,
    TracedValue,
    encoder_spec,
    memory_specs,
    state_specs,
    step_spec,
    traced_value,
)
from penstock.runtime.onnx.session import Arrays, GraphSession
from penstock.search.step import Ints, Singles, StepOutput
from penstock.special_tokens import BOS_ID

_CARRIED = (("h", "c"), ("h",), ("c",))
_ENCODED = 32  # sources at once, of like length: the encoder's loop goes over padding too


@dataclass(frozen=True, slots=True)
class OnnxMemory:
    """What the decoder may look at, of B sentences; no row has a copy of it.

    Attributes:
        tensors: as `memory_specs`.
        sentences: B.
    """

    tensors: Arrays
    sentences: int

    def select(self, sentences: Ints) -> OnnxMemory:
        """The memory of the given sentences."""
        chosen = {name: own[sentences] for name, own in self.tensors.items()}
        return OnnxMemory(chosen, len(sentences))


@dataclass(frozen=True, slots=True)
class OnnxState:
    """The decoder state of N rows; rows are gathered inside the next step.

    Attributes:
        memory: of the sentences that the rows belong to.
        layers: the state of M rows.
        parents: (N,) which of them each row continues.
        sentences: (N,) which sentence each row belongs to.
        slots: the rows of each sentence, side by side; see `step_spec`.
    """

    memory: OnnxMemory
    layers: Arrays
    parents: Ints
    sentences: Ints
    slots: Arrays

    def select(self, rows: Ints) -> OnnxState:
        """The given rows; memory that no row needs is dropped when it is half of it or more."""
        sentences, memory = self.sentences[rows], self.memory
        if memory.sentences > 1 and len(rows):
            held = np.zeros(memory.sentences, np.bool_)
            held[sentences] = True
            needed = held.nonzero()[0]
            if 2 * len(needed) <= memory.sentences:
                memory = memory.select(needed)
                sentences = (held.cumsum() - 1)[sentences]
        slots = self.slots
        is_same = memory is self.memory and len(rows) == len(self.sentences)
        if not is_same or (memory.sentences > 1 and (sentences != self.sentences).any()):
            slots = _slots(sentences, memory)
        return OnnxState(memory, self.layers, self.parents[rows], sentences, slots)

    def join(self, others: Sequence[OnnxState]) -> OnnxState:
        """Its rows, then those of the others, which have the same memory."""
        every = [self, *others]
        assert all(state.memory is self.memory for state in others)
        layers = {
            name: np.concatenate([state.layers[name][state.parents] for state in every])
            for name in self.layers
        }
        sentences = np.concatenate([state.sentences for state in every])
        slots = _slots(sentences, self.memory)
        return OnnxState(self.memory, layers, np.arange(len(sentences)), sentences, slots)


class OnnxTranslator:
    """A translation model's graphs (see `TranslationEngine`).

    Args:
        config: of the model.
        files: a bundle's verified files by role.
        vocab_size: of the target.
        place: of the bundle, for messages.
        threads: that compute one call.

    Raises:
        BundleError: the graphs are missing, damaged, or not this model's.
    """

    def __init__(
        self,
        config: ModelConfig,
        files: Mapping[str, bytes],
        *,
        vocab_size: int,
        place: str,
        threads: int = 1,
    ) -> None:
        encoders = tuple(encoder_spec(config, carries) for carries in _CARRIED)
        steps = tuple(step_spec(config, carries, vocab_size) for carries in _CARRIED)
        self._encoder, self._decoder = (
            GraphSession(files, role, place=place, specs=specs, threads=threads)
            for role, specs in ((ENCODER_ROLE, encoders), (STEP_ROLE, steps))
        )
        self._memory = [spec.name for spec in memory_specs(config)]
        names = {spec.name for spec in self._decoder.spec.inputs}
        states = state_specs(config, ("h", "c"), config.decoder_layers, "N")
        self._states = [spec.name for spec in states if spec.name in names]
        self._cell = config.cell
        self._attends = config.attention != "none"
        after = [*(["attention"] if self._attends else []), *(f"{s}_next" for s in self._states)]
        self._best_outputs = ["top_log_probs", "top_ids", *after]
        self._all_outputs = ["log_probs", *after]
        self._vocab_size = vocab_size

    def start(self, sources: Sequence[Sequence[int]]) -> OnnxState:
        """Encode sources (ids, EOS last); the state before BOS."""
        order = list(range(len(sources)))
        if len(order) > _ENCODED:
            order.sort(key=lambda i: len(sources[i]))
        groups = [order[i : i + _ENCODED] for i in range(0, len(order), _ENCODED)]
        parts = [self._encode([sources[i] for i in group]) for group in groups]
        return self._first(parts[0] if len(parts) == 1 else _joined(groups, parts), len(sources))

    def _first(self, found: Arrays, sentences: int) -> OnnxState:
        memory = OnnxMemory({name: found[name] for name in self._memory}, sentences)
        rows = np.arange(sentences)
        layers = {name: found[name] for name in self._states}
        return OnnxState(memory, layers, rows, rows, _slots(rows, memory))

    def _encode(self, sources: Sequence[Sequence[int]], more: Sequence[str] = ()) -> Arrays:
        tokens, lengths = padded_ids([list(source) for source in sources])
        names = [*self._memory, *self._states, *more]
        inputs = {"tokens": tokens, "lengths": lengths}
        return dict(zip(names, self._encoder.run(names, inputs), strict=True))

    def step(self, tokens: Ints, state: OnnxState, /, *, top: int) -> StepOutput[OnnxState]:
        """Advance every row; see `penstock.search.step.Step`."""
        return self._step(tokens, state, top)[0]

    def _step(
        self, tokens: Ints, state: OnnxState, top: int, more: Sequence[str] = ()
    ) -> tuple[StepOutput[OnnxState], list[NDArray[Any]]]:
        """A step, and more outputs of its graph."""
        count = min(top, self._vocab_size) or 1
        inputs = {
            "tokens": tokens,
            "parents": state.parents,
            "top": np.array([count]),
            **state.slots,
            **state.memory.tensors,
            **state.layers,
        }
        own = self._best_outputs if top else self._all_outputs
        found = self._decoder.run([*own, *more], inputs)
        layers = dict(zip(self._states, found[len(own) - len(self._states) :], strict=False))
        rows = np.arange(len(tokens))
        next_state = OnnxState(state.memory, layers, rows, state.sentences, state.slots)
        weights = None
        if self._attends:
            by_slot = found[2 if top else 1]
            weights = by_slot.reshape(-1, by_slot.shape[-1])
            if len(weights) > len(tokens) or state.memory.sentences > 1:
                weights = weights[state.slots["places"]]
        output = StepOutput(found[0], found[1] if top else None, next_state, weights)
        return output, found[len(own) :]

    def score(
        self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], /
    ) -> Singles:
        """Log-probability (B, T) of each target's tokens, EOS among them; what follows is noise."""
        wanted, _ = padded_ids([list(target) for target in targets])
        state, last = self.start(sources), np.full(len(targets), BOS_ID, np.int64)
        found: list[Singles] = []
        for tokens in wanted.T:
            output = self.step(last, state, top=0)
            found.append(np.take_along_axis(output.log_probs, tokens[:, None], 1)[:, 0])
            state, last = output.state, np.ascontiguousarray(tokens)
        return np.stack(found, 1)

    def trace(self, source: Sequence[int], output: Sequence[int], /) -> NetworkTrace:
        """What the model computes for a given output."""
        read, written = _traced_by(self._encoder), _traced_by(self._decoder)
        encoded = self._encode([source], list(read))
        values = {what: encoded[name][:, 0] for name, what in read.items()}
        state, steps, traced = self._first(encoded, 1), list[StepOutput[OnnxState]](), list[Any]()
        for token in (BOS_ID, *output[:-1]):
            step, found = self._step(np.array([token]), state, 0, list(written))
            state = step.state
            steps.append(step)
            traced.append([*found, *state.layers.values()])
        states = [TracedValue.of_state(name) for name in self._states]
        for what, own in zip([*written.values(), *states], zip(*traced, strict=True), strict=True):
            values[what] = np.concatenate(own)
        attention = [step.attention for step in steps if step.attention is not None]
        return NetworkTrace(
            np.concatenate([step.log_probs for step in steps]),
            np.concatenate(attention)[None] if attention else None,
            _layers(values, self._cell),
        )

    def warm_up(self, rows: int, /) -> None:
        """Nothing is compiled for a number of rows."""


def _traced_by(session: GraphSession) -> dict[str, TracedValue]:
    """What a graph traces, by output."""
    found = {name: traced_value(name) for name in session.outputs}
    return {name: what for name, what in found.items() if what is not None}


def _layers(values: Mapping[TracedValue, Singles], cell: str) -> list[LayerTrace]:
    """Values by layer and direction, the encoder's first; a cell's state after its gates."""
    layers: dict[tuple[bool, int, bool], list[TracedValue]] = {}
    for what in values:
        layers.setdefault((what.side == "decoder", what.layer, what.reverse), []).append(what)
    last = list(STATE_NAMES.values())
    return [
        LayerTrace(
            own[0].side,
            layer,
            reverse,
            cell,
            {
                # a backward direction's as it reads: in the order of the text they are reversed
                what.name: values[what][:: -1 if reverse else 1]
                for what in sorted(
                    own, key=lambda what: last.index(what.name) if what.name in last else -1
                )
            },
        )
        for (_, layer, reverse), own in sorted(layers.items())
    ]


def _joined(groups: Sequence[Sequence[int]], parts: Sequence[Arrays]) -> Arrays:
    """The encodings of groups of sources as one, padded; each group says where its rows belong."""
    joined: Arrays = {}
    for name in parts[0]:
        own = [part[name] for part in parts]
        shape = np.max([each.shape for each in own], 0)
        shape[0] = sum(map(len, groups))
        joined[name] = np.full(shape, -np.inf if name == "mask" else 0, np.float32)
        for rows, each in zip(groups, own, strict=True):
            joined[name][(rows, *map(slice, each.shape[1:]))] = each
    return joined


def _slots(sentences: Ints, memory: OnnxMemory) -> Arrays:
    """Where each sentence's rows stand side by side, as the step's inputs."""
    if "context" in memory.tensors:
        return {"sentences": sentences}
    count = memory.sentences
    held = np.bincount(sentences, minlength=count)
    # a product of one row alone is summed in another order
    width = max(2, int(held.max(initial=0)))
    order = np.argsort(sentences, kind="stable")
    ordered = sentences[order]
    rank = np.arange(len(sentences)) - (held.cumsum() - held)[ordered]
    slots = np.zeros((count, width), np.int64)
    slots[ordered, rank] = order
    places = np.empty_like(sentences)
    places[order] = ordered * width + rank
    return {"slots": slots, "places": places}
