"""Inputs and outputs of the exported graphs: the contract between export and engine.

Shapes name what varies: B sentences, S source positions, N rows, M rows of the state before,
W rows per sentence, K candidates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from penstock.bundle import GRAPH_ROLES
from penstock.config import ModelConfig
from penstock.runtime.network_trace import Side

IR_VERSION = 8
OPSETS = {"": 17, "com.microsoft": 1}

ENCODER_ROLE, STEP_ROLE, GRAPH_ROLE = GRAPH_ROLES

STATE_NAMES = {"c": "cell", "h": "hidden"}  # as equations name the parts of a state
_TRACED = re.compile(r"(encoder|decoder)\.(\d{1,3})\.(forward|backward)\.([a-z_]{1,40})")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output.

    Attributes:
        name: in the graph.
        dtype: its name in numpy.
        shape: numbers where fixed, names where not.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """The inputs and outputs of one graph, in order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def state_specs(
    config: ModelConfig, carries: Sequence[str], layers: int, rows: str, suffix: str = ""
) -> tuple[TensorSpec, ...]:
    """The state of a stack: for each layer what its cell carries, `h0`, `c0` …, each (rows, H)."""
    shape = (rows, config.hidden_size)
    return tuple(
        TensorSpec(f"{part}{layer}{suffix}", "float32", shape)
        for layer in range(layers)
        for part in carries
    )


class TracedValue(NamedTuple):
    """What a graph's output traces: a gate, candidate or state of a cell, for inspection."""

    side: Side
    layer: int
    reverse: bool
    name: str

    @classmethod
    def of_state(cls, name: str) -> TracedValue:
        """What a state of `state_specs` is, as `h0`."""
        return cls("decoder", int(name[1:]), reverse=False, name=STATE_NAMES[name[0]])

    def spec(self, size: int) -> TensorSpec:
        """The output, of U units: (S, B, U), or of a step (N, U)."""
        direction = "backward" if self.reverse else "forward"
        shape = ("S", "B", size) if self.side == "encoder" else ("N", size)
        return TensorSpec(f"{self.side}.{self.layer}.{direction}.{self.name}", "float32", shape)


def traced_value(output: str) -> TracedValue | None:
    """What an output traces, by its name; None: it is another output."""
    found = _TRACED.fullmatch(output)
    if found is None:
        return None
    side: Side = "encoder" if found[1] == "encoder" else "decoder"
    return TracedValue(side, int(found[2]), found[3] == "backward", found[4])


def is_trace(spec: TensorSpec) -> bool:
    """Whether an output is as `TracedValue.spec` has it."""
    traced, size = traced_value(spec.name), spec.shape[-1] if spec.shape else ""
    return traced is not None and isinstance(size, int) and spec == traced.spec(size)


def memory_specs(config: ModelConfig) -> tuple[TensorSpec, ...]:
    """What the decoder may look at, per sentence."""
    if config.attention == "none":
        return (TensorSpec("context", "float32", ("B", config.hidden_size)),)
    layout = AttentionLayout.of(config)
    keys: tuple[int | str, ...] = ("B", layout.heads * layout.blocks, layout.block, "S")
    if config.attention == "additive":
        keys = ("B", 1, "S", layout.block)
    values = ("B", layout.heads, "S", layout.value_width)
    return (
        TensorSpec("keys", "float32", keys),
        TensorSpec("values", "float32", values),
        TensorSpec("mask", "float32", ("B", 1, 1, "S")),
    )


@dataclass(frozen=True, slots=True)
class AttentionLayout:
    """How keys and values are laid out for the step.

    A product over more than 128 numbers is summed in blocks whose size depends on the other
    dimensions; products over at most 128 are summed in order. So keys are cut into blocks, and a
    score does not depend on how long other sentences are.

    Attributes:
        heads: of the attention.
        blocks: of each head's key.
        block: numbers in a block; the last may be padded with zeros.
        value_width: of each head's value.
    """

    heads: int
    blocks: int
    block: int
    value_width: int

    @classmethod
    def of(cls, config: ModelConfig) -> AttentionLayout:
        """The layout of a configured attention."""
        size = config.attention_size or config.hidden_size
        if config.attention == "multihead":
            width = size // config.attention_heads
            return cls._cut(config.attention_heads, width, width)
        if config.attention == "additive":
            return cls(1, 1, size, config.hidden_size)
        return cls._cut(1, config.hidden_size, config.hidden_size)

    @classmethod
    def _cut(cls, heads: int, width: int, value_width: int) -> AttentionLayout:
        blocks = -(-width // 128)
        return cls(heads, blocks, width if blocks == 1 else 128, value_width)

    @property
    def key_width(self) -> int:
        """Numbers of a head's key, filling included."""
        return self.blocks * self.block


def encoder_spec(config: ModelConfig, carries: Sequence[str]) -> GraphSpec:
    """Translation's encoder: padded ids to a memory and the decoder's first state."""
    return GraphSpec(
        (TensorSpec("tokens", "int64", ("B", "S")), TensorSpec("lengths", "int64", ("B",))),
        (*memory_specs(config), *state_specs(config, carries, config.decoder_layers, "B")),
    )


def step_spec(config: ModelConfig, carries: Sequence[str], vocab_size: int) -> GraphSpec:
    """Translation's decoder step.

    `parents` are the rows of the state before that the N rows continue. With attention, `slots`
    say which of the N rows stand beside each other for a sentence, and `places` where each row
    stands among the B·W (the attention's rows stand so too); without, `sentences` say which
    sentence each row belongs to.
    """
    attends = config.attention != "none"
    rows = (
        (TensorSpec("slots", "int64", ("B", "W")), TensorSpec("places", "int64", ("N",)))
        if attends
        else (TensorSpec("sentences", "int64", ("N",)),)
    )
    attention = (TensorSpec("attention", "float32", ("B", 1, "W", "S")),) if attends else ()
    layers = config.decoder_layers
    return GraphSpec(
        (
            TensorSpec("tokens", "int64", ("N",)),
            TensorSpec("parents", "int64", ("N",)),
            *rows,
            TensorSpec("top", "int64", (1,)),
            *memory_specs(config),
            *state_specs(config, carries, layers, "M"),
        ),
        (
            TensorSpec("top_log_probs", "float32", ("N", "K")),
            TensorSpec("top_ids", "int64", ("N", "K")),
            TensorSpec("log_probs", "float32", ("N", vocab_size)),
            *attention,
            *state_specs(config, carries, layers, "N", "_next"),
        ),
    )


_IDS = (TensorSpec("ids", "int64", ("B", "S")), TensorSpec("lengths", "int64", ("B",)))


def language_model_spec(config: ModelConfig, carries: Sequence[str], vocab_size: int) -> GraphSpec:
    """A language model: ids read on from a state, and what follows chosen positions.

    `positions` count through the B·S ids, row by row. A state has all layers, (L, B, H).
    """
    shape = (config.num_layers, "B", config.hidden_size)
    return GraphSpec(
        (
            TensorSpec("ids", "int64", ("B", "S")),
            TensorSpec("positions", "int64", ("N",)),
            *(TensorSpec(part, "float32", shape) for part in carries),
        ),
        (
            TensorSpec("log_probs", "float32", ("N", vocab_size)),
            TensorSpec("states", "float32", ("B", "S", config.hidden_size)),
            *(TensorSpec(f"{part}_next", "float32", shape) for part in carries),
        ),
    )


def classifier_spec(config: ModelConfig, labels: int) -> GraphSpec:
    """A classifier: padded ids to the probability of each label, and the top states."""
    return GraphSpec(
        _IDS,
        (
            TensorSpec("probabilities", "float32", ("B", labels)),
            TensorSpec("states", "float32", ("B", "S", config.hidden_size)),
        ),
    )


def cloze_spec(config: ModelConfig, vocab_size: int) -> GraphSpec:
    """A cloze: padded ids to what surrounds each, and candidates for what surrounds N blanks."""
    size = config.hidden_size
    return GraphSpec(
        (*_IDS, TensorSpec("blanks", "float32", ("N", size))),
        (
            TensorSpec("contexts", "float32", ("B", "S", size)),
            TensorSpec("states", "float32", ("B", "S", size)),
            TensorSpec("log_probs", "float32", ("N", vocab_size)),
        ),
    )
