"""What measuring a model gives, whatever its task, and the data it is measured on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock.data.pair import Pair

BLOCK = 1024  # lines or pairs that are scored together


class EvaluationData(Protocol):
    """Examples, read when they are asked for.

    Attributes:
        path: the file, for messages; None where there is none.
        model: where the model lies; in a run directory the training text is at hand for baselines.
    """

    @property
    def path(self) -> str | None: ...  # noqa: D102
    @property
    def model(self) -> str | None: ...  # noqa: D102

    def pairs(self) -> Iterable[Pair]:
        """Of a task with pairs."""
        ...

    def lines(self) -> Iterable[str]:
        """Of a task with one text."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """Scores with what they depend on.

    Attributes:
        scores: by metric. Rates are percentages.
        signature: how sacreBLEU computed its scores; empty where it computed none.
        recipe: how the outputs were found, for example the search.
        examples: how many pairs or lines were scored.
        report: everything that was measured, as `penstock evaluate --json` prints it.
        rows: names and values as `penstock evaluate` prints them.
        outputs: per example its source, the model's output and the references.
        notes: what is worth knowing beside the numbers.
    """

    scores: Mapping[str, float]
    signature: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict[str, Any])
    examples: int = 0
    report: Mapping[str, Any] = field(default_factory=dict[str, Any], compare=False, repr=False)
    rows: Sequence[tuple[str, str]] = field(default=(), compare=False, repr=False)
    outputs: Sequence[Sequence[str]] = field(default=(), compare=False, repr=False)
    notes: Sequence[str] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        names = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER"}
        parts = [f"{names.get(name, name)} {value:.2f}" for name, value in self.scores.items()]
        parts += [f"{name}:{value}" for name, value in self.recipe.items()]
        return "  ".join([*parts, f"n:{self.examples}", self.signature]).rstrip()


@dataclass(frozen=True, slots=True)
class ScoredText:
    """How probable a text is.

    Attributes:
        texts: the line, or source and target, by name.
        log_probability: of all its tokens, in nats.
        tokens: how many they are.
        perplexity: None without a token.
    """

    texts: Mapping[str, str]
    log_probability: float
    tokens: int
    perplexity: float | None


def plain_rows(report: Mapping[str, float | int]) -> list[tuple[str, str]]:
    """A report of numbers as `penstock evaluate` prints it."""
    return [
        (name.replace("_", " "), f"{value:.3f}" if isinstance(value, float) else f"{value}")
        for name, value in report.items()
    ]
