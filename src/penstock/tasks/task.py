"""A task as one value, which imports its parts lazily."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn

    from penstock.bundle import Bundle
    from penstock.config import ExportPrecision, RunConfig
    from penstock.data.pair import Pair
    from penstock.metrics.confidence import Outcomes
    from penstock.nn.frozen_transformer import FrozenTransformer
    from penstock.runtime.engine import Engine
    from penstock.tasks.evaluation import Evaluation, EvaluationData, ScoredText
    from penstock.tasks.unrolled_graph import Graph
    from penstock.training.learner import Learner


def _anything_is_possible(config: RunConfig) -> str:
    return ""


class NetworkBuilder(Protocol):
    """See `Learning.network`."""

    def __call__(
        self,
        config: RunConfig,
        *,
        source_size: int,
        target_size: int,
        transformer: FrozenTransformer | None = None,
    ) -> nn.Module:
        """Build the network."""
        ...


class LearnerMaker(Protocol):
    """See `Learning.learner`."""

    def __call__(
        self,
        config: RunConfig,
        folder: Path,
        device: torch.device,
        report: Callable[[str], None],
        *,
        from_scratch: bool = True,
    ) -> Learner[Any]:
        """Prepare the learner."""
        ...


@dataclass(frozen=True, kw_only=True)
class Learning:
    """The training side of a task.

    Attributes:
        network: builds a network with its first weights, from the run's configuration,
            `source_size` and `target_size` (V of the source and of the target; labels and the
            reserved ids for a classifier), and `transformer`, which stands in the place of the
            source's embedding. Its methods that take and return tensors or states are what an
            engine runs by name; `states(ids, lengths)` gives the top states (B, S, H), of which
            row t of sentence b has read its token t.
        learner: prepares the data in a folder and gives the learner; `report` is told what is worth
            knowing of the data; without `from_scratch` a checkpoint brings the weights.
        held_out: reads the examples that a run held out; None: `open_data` gives them.
    """

    network: NetworkBuilder
    learner: LearnerMaker
    held_out: Callable[[RunConfig], Iterable[Pair]] | None = None


# ids of a source, EOS last, and of a target, beginning with BOS; no target for a task of one text
Sample = tuple[list[int], list[int]]


class GraphMaker(Protocol):
    """See `Task.graphs`."""

    def __call__(
        self, config: RunConfig, network: Any, sample: Sequence[Sample], precision: ExportPrecision
    ) -> dict[str, bytes]:
        """Make the graphs."""
        ...


@dataclass(frozen=True, kw_only=True)
class Service:
    """How a model is served.

    Attributes:
        noun: what messages call the model.
        warm_up: runs it once, so that the first request finds it warm.
        by_languages: whether requests select the model by languages instead of its name.
    """

    noun: str
    warm_up: Callable[[Any], object]
    by_languages: bool = False


@dataclass(frozen=True, kw_only=True)
class Use:
    """The inference side of a task.

    Attributes:
        model: the class that users load, made of a bundle, a `device` and an `engine`; where
            `searches`, also of `others` and `weights` of an ensemble, and a `precision`.
        evaluate: scores such a model on `EvaluationData`; where `searches`, with options.
        score: computes the probability of examples; None if the model has no probabilities.
        searches: whether its output is found by a search, so that search options, corpus metrics
            and ensembles apply.
        service: None if the task is not served.
        outcomes: what a model makes of held-out pairs, to fit its confidence to; None where the
            task has no features.
    """

    model: type[Any]
    evaluate: Callable[..., Evaluation]
    score: Callable[[Any, EvaluationData], Iterator[ScoredText]] | None = None
    searches: bool = False
    service: Service | None = None
    outcomes: Callable[[Any, Sequence[Pair]], Outcomes] | None = None


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a model can be trained for.

    Attributes:
        name: its name in configurations.
        verb: the command that uses a model of the task.
        trial: an example of that command, without the model.
        pipeline: the Hugging Face hub's name of the task; empty: it has none.
        target: what a source is paired with: a text, a label, or nothing. With nothing, data are
            plain text and there is only the source's tokenizer.
        metrics: the held-out metrics by which a model may be selected.
        corpus_metrics: whether corpus metrics may select it too (`config/metric_table.py`).
        defaults: the task's own defaults, by section.
        unused: keys without effect, and why; setting one is an error.
        unused_with_transformer: further ones with `model.transformer`.
        problem: says why a configuration is impossible, or returns an empty text.
        learning: network and learner; imports torch.
        graphs: makes a network's ONNX graphs, by the role of their files in a bundle; the ranges of
            int8 activations are those seen on a sample of held-out text. Imports torch and onnx.
            None: its models are not exported.
        graph_engine: makes what runs those graphs of a bundle and the threads of a call; for tasks
            whose models are used through an `Engine`.
        use: the class that users load, its evaluation and its service.
        unroll: makes the graph of its unrolled network; None if there is none.
        features: names of the score features of an output that its confidence comes of; empty: its
            outputs have none.
    """

    name: str
    verb: str
    trial: str
    target: Literal["text", "label", "none"]
    metrics: tuple[str, ...]
    corpus_metrics: bool = False
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Any])
    unused: Mapping[str, str] = field(default_factory=dict[str, str])
    unused_with_transformer: Mapping[str, str] = field(default_factory=dict[str, str])
    problem: Callable[[RunConfig], str] = _anything_is_possible
    learning: Callable[[], Learning]
    use: Callable[[], Use]
    graphs: Callable[[], GraphMaker] | None = None
    graph_engine: Callable[[], Callable[[Bundle, int], Engine]] | None = None
    unroll: Callable[[RunConfig, int], Graph] | None = None
    features: tuple[str, ...] = ()
    pipeline: str = ""

    @property
    def has_one_text(self) -> bool:
        """Whether the data are plain text rather than pairs."""
        return self.target == "none"
