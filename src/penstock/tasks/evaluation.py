"""The result of evaluating a model of any task, and the data to evaluate on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock.config.metric_table import METRICS, labelled
from penstock.data.pair import Pair
from penstock.metrics.confidence import Reliability

BLOCK = 1024  # lines or pairs that are scored together


class EvaluationData(Protocol):
    """Examples, read on demand.

    Attributes:
        path: the file, for messages; None if there is none.
        model: the model's path; a run directory has the training text for baselines.
    """

    @property
    def path(self) -> str | None: ...  # noqa: D102
    @property
    def model(self) -> str | None: ...  # noqa: D102

    def pairs(self) -> Iterable[Pair]:
        """Examples for a task with pairs."""
        ...

    def lines(self) -> Iterable[str]:
        """Examples for a task with plain text."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """Scores and their settings.

    Attributes:
        scores: by metric; rates are percentages.
        signature: sacreBLEU's signature; empty if it computed none of the scores.
        recipe: settings that produced the outputs, such as the search.
        examples: number of scored pairs or lines.
        report: all measurements, as `penstock evaluate --json` prints them.
        rows: names and values as `penstock evaluate` prints them.
        outputs: source, output and references of each example.
        notes: remarks for the user.
        reliability: of the outputs' confidence; None where they have none.
    """

    scores: Mapping[str, float]
    signature: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict[str, Any])
    examples: int = 0
    report: Mapping[str, Any] = field(default_factory=dict[str, Any], compare=False, repr=False)
    rows: Sequence[tuple[str, str]] = field(default=(), compare=False, repr=False)
    outputs: Sequence[Sequence[str]] = field(default=(), compare=False, repr=False)
    notes: Sequence[str] = field(default=(), compare=False, repr=False)
    reliability: Reliability | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        labels = {name: entry.label for name, entry in METRICS.items()}
        parts = [
            labelled(labels.get(name, name), value, decimals=2)
            for name, value in self.scores.items()
        ]
        parts += [f"{name}:{value}" for name, value in self.recipe.items()]
        return "  ".join([*parts, f"n:{self.examples}", self.signature]).rstrip()


@dataclass(frozen=True, slots=True)
class ScoredText:
    """The probability of a text.

    Attributes:
        texts: the line, or source and target, by name.
        log_probability: of all its tokens, in nats.
        tokens: number of tokens.
        perplexity: None without tokens.
    """

    texts: Mapping[str, str]
    log_probability: float
    tokens: int
    perplexity: float | None


def plain_rows(report: Mapping[str, float | int]) -> list[tuple[str, str]]:
    """Format a report of numbers for `penstock evaluate`."""
    return [
        (name.replace("_", " "), f"{value:.3f}" if isinstance(value, float) else f"{value}")
        for name, value in report.items()
    ]
