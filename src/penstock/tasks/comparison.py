"""Several models on the same examples: which is better, and where they differ most."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.config import RunConfig
from penstock.errors import UsageError
from penstock.metrics import metrics_for
from penstock.metrics.error_rates import exact_matches
from penstock.metrics.sacrebleu_scores import sentence_chrf
from penstock.metrics.significance import SystemScores, compare_rates, compare_systems
from penstock.tasks import TASKS
from penstock.tasks.evaluation import EvaluationData


@dataclass(frozen=True, slots=True)
class Difference:
    """An example and what each model made of it.

    Attributes:
        source: the input.
        references: what is right.
        outputs: of each model.
        scores: of each output, 0 to 100: chrF, or for labels 100 if it is right.
    """

    source: str
    references: Sequence[str]
    outputs: Sequence[str]
    scores: Sequence[float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of `compare_models`.

    Attributes:
        scores: of each model, in their order.
        differences: the examples whose outputs differ most in score, the greatest first.
        examples: number of examples.
    """

    scores: SystemScores
    differences: Sequence[Difference]
    examples: int


def compare_models(
    models: Iterable[Any],
    config: RunConfig,
    data: EvaluationData,
    *,
    metrics: Sequence[str] = (),
    differences: int = 5,
    **options: Any,
) -> Comparison:
    """Evaluate models of one task on the same examples and compare the others with the first.

    Args:
        models: of the classes that users load; one at a time is used.
        config: of the first.
        data: the examples.
        metrics: see `compare_systems`; default: those of the first model's targets.
        differences: how many examples to show.
        options: of the task's evaluation.

    Raises:
        UsageError: the task has no outputs to compare, or an unknown metric.
        DataError: no examples.
    """
    task = TASKS[config.task]
    use = task.use()
    side = config.text.target_side
    if use.searches:
        metrics = metrics or metrics_for(side.kind)
        options["metrics"] = metrics
    systems: list[list[str]] = []
    rows: Sequence[Sequence[str]] = ()
    for model in models:
        rows = use.evaluate(model, data, **options).outputs
        if not rows:
            raise UsageError(
                f"models for {task.name} have no outputs to compare; compare what "
                "'penstock evaluate' prints"
            )
        systems.append([row[1] for row in rows])
    sources, references = [row[0] for row in rows], [row[2:] for row in rows]
    if use.searches:
        found = compare_systems(systems, references, metrics, separator=side.symbol_separator)
        by_example = [list(map(sentence_chrf, own, references)) for own in systems]
    else:
        right = [exact_matches(own, references) for own in systems]
        found = SystemScores({"accuracy": compare_rates(right)})
        by_example = [[100.0 * count for count, _ in own] for own in right]
    every = [
        Difference(*parts)
        for parts in zip(
            sources,
            references,
            zip(*systems, strict=True),
            zip(*by_example, strict=True),
            strict=True,
        )
        if len(set(parts[2])) > 1
    ]
    every.sort(key=lambda one: min(one.scores) - max(one.scores))
    return Comparison(found, every[:differences], len(rows))
