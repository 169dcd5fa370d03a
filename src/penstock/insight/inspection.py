"""The inspection of one translation, as plain values for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

from penstock.search.ranking import Normalization
from penstock.tasks.translation.status import Status

NodeState = Literal["kept", "pruned", "finished", "best", "unseen"]


@dataclass(frozen=True, slots=True)
class Search:
    """The search's settings."""

    beam_size: int
    normalization: Normalization
    length_penalty: float


@dataclass(frozen=True, slots=True)
class Attention:
    """Attention weights of T target pieces over S source pieces.

    Attributes:
        heads: [H][T][S], each row summing to one; one head unless it is multi-head attention.
        mean: [T][S] over the heads.
    """

    heads: Sequence[Sequence[Sequence[float]]]
    mean: Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Choice:
    """A token at some position, and its log-probability there in nats."""

    token: str
    log_probability: float


@dataclass(frozen=True, slots=True)
class Node:
    """A partial hypothesis in the beam tree.

    Attributes:
        id: its number; the root, before any token, is 0.
        parent: the hypothesis that it extends; None for the root.
        step: its tokens.
        token: the last of them.
        log_probability: of that token.
        total: of all of them.
        score: what outputs are ranked by; None where nothing ended.
        state: `kept` in the beam; `pruned`, compared but not gone on with; `finished`, an output;
            `best`, the output chosen; `unseen`, on the optimum's path but never compared.
        exact: it lies on the path of the exact optimum.
    """

    id: int
    parent: int | None
    step: int
    token: str
    log_probability: float
    total: float
    score: float | None
    state: NodeState
    exact: bool


@dataclass(frozen=True, slots=True)
class Tree:
    """The beam search; a parent comes before its children."""

    nodes: Sequence[Node]


@dataclass(frozen=True, slots=True)
class Optimum:
    """What exact search found.

    Attributes:
        text: the output.
        tokens: target pieces, the end last.
        score, log_probability: as of a translation.
        certified: nothing scores higher.
        bound: nothing scores above it.
        extended: partial hypotheses extended for it.
    """

    text: str
    tokens: Sequence[str]
    score: float
    log_probability: float
    certified: bool
    bound: float
    extended: int


@dataclass(frozen=True, slots=True)
class Signal:
    """A gate or a state over N tokens.

    Attributes:
        mean: [N] over the units; of absolute values if they can be negative.
        units: [N][U] in hundredths, -100 to 100; None unless requested.
    """

    mean: Sequence[float]
    units: Sequence[Sequence[int]] | None


@dataclass(frozen=True, slots=True)
class Layer:
    """A recurrent layer in one direction, token by token.

    Attributes:
        side: `encoder` or `decoder`.
        layer: from 1, the lowest.
        direction: `forward` or `backward`.
        cell: its name in `model.cell`.
        size: U units.
        tokens: the N tokens that it reads, in the order of the text.
        values: signals by name: the cell's gates, then `candidate`, `cell` and `hidden`, as far as
            it has them. Of what may exceed 1, as an LSTM's `cell`, the tanh.
    """

    side: Literal["encoder", "decoder"]
    layer: int
    direction: Literal["forward", "backward"]
    cell: str
    size: int
    tokens: Sequence[str]
    values: Mapping[str, Signal]


@dataclass(frozen=True, slots=True)
class Inspection:
    """How a model translated one sentence.

    Attributes:
        source: the sentence.
        text, status, score, log_probability: of its translation.
        search: the search's settings.
        prefix: forced target pieces.
        source_tokens: S source pieces, EOS last.
        target_tokens: T target pieces, EOS last (forced if `status` is `length-capped`).
        token_log_probabilities: [T] in nats.
        attention: None for a model without attention.
        choices: for each target piece, the likeliest tokens in order, itself included.
        tree: the beam search.
        exact: None unless requested.
        gates: each layer and direction, the encoder's first.
    """

    source: str
    text: str
    status: Status
    score: float
    log_probability: float
    search: Search
    prefix: Sequence[str]
    source_tokens: Sequence[str]
    target_tokens: Sequence[str]
    token_log_probabilities: Sequence[float]
    attention: Attention | None
    choices: Sequence[Sequence[Choice]]
    tree: Tree
    exact: Optimum | None
    gates: Sequence[Layer]


def as_json(inspection: Inspection) -> dict[str, Any]:
    """Convert to dictionaries, lists, strings and numbers."""
    return _plain(inspection)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {name: _plain(own) for name, own in value.items()}  # pyright: ignore
    # no copy of numbers and words: units have hundreds of thousands
    if isinstance(value, (list, tuple)) and value and not isinstance(value[0], (int, float, str)):
        return [_plain(own) for own in value]  # pyright: ignore
    return list(value) if isinstance(value, tuple) else value  # pyright: ignore
