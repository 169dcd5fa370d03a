"""A search for settings beyond a grid: Optuna proposes the next combinations from those before.

What was proposed stands in a file beside the runs. A proposal depends on the seed and on the scores
before it alone, so a search that is interrupted goes on as if it never was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penstock.config import RunConfig, selection_metrics
from penstock.errors import ConfigError, DataError, MissingExtraError, UsageError
from penstock.files import atomic_write
from penstock.training.sweep_results import SweepRow
from penstock.training.sweep_runs import Runs, first_possible, table
from penstock.training.sweep_settings import Range, Settings, varied_keys

TRIALS = "trials.json"

Values = dict[str, Any]


def search_settings(runs: Runs, settings: Settings, *, trials: int, seeds: int) -> list[SweepRow]:
    """Train combinations that a search proposes, each with several seeds.

    Args:
        runs: trains them.
        settings: ranges, and lists of values to choose from.
        trials: combinations to try, those of an earlier call included.
        seeds: runs of each; their mean is what is searched for.

    Raises:
        MissingExtraError: Optuna is not installed.
        UsageError: nothing varies, or the folder holds another search.
        KeyboardInterrupt: interrupted; the same call goes on.
    """
    varied = varied_keys(settings)
    if not varied:
        raise UsageError("--trials: nothing to search; give a key a range (LOW..HIGH) or values")
    space = {key: settings[key] for key in varied}
    fixed = {
        key: values[0]
        for key, values in settings.items()
        if key not in varied and not isinstance(values, Range)
    }
    proposed = _read(runs.out)[:trials]
    if any(trial.keys() != space.keys() for trial in proposed):
        raise UsageError(f"{runs.out}: a search over other keys; choose another --out")
    rows: list[SweepRow] = []
    while len(rows) < trials:
        if len(rows) == len(proposed):
            at_once = min(max(runs.jobs // seeds, 1), trials - len(rows))
            proposed += _propose(space, rows, at_once)
            atomic_write(runs.out / TRIALS, json.dumps(proposed, indent=1) + "\n")
        new = [{**fixed, **trial} for trial in proposed[len(rows) :]]
        rows += table(runs, _base(runs, new, rows), new, varied, seeds)
        runs.report(f"{len(rows):,} of {trials:,} trials")
    return rows


def _base(runs: Runs, new: list[Values], rows: Sequence[SweepRow]) -> RunConfig:
    """A configuration for seed and metric; that of no data where nothing proposed is possible."""
    try:
        return first_possible(runs.make, [*new, *(dict(row.settings) for row in rows)])
    except ConfigError:
        return RunConfig()


def _propose(settings: Settings, rows: Sequence[SweepRow], count: int) -> list[Values]:
    """The next combinations, by a tree-structured Parzen estimator (Bergstra et al. 2011)."""
    try:
        import optuna
    except ModuleNotFoundError:
        raise MissingExtraError("--trials", "sweep", "Optuna") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spaces = {key: _space(optuna.distributions, values) for key, values in settings.items()}
    metric = next((row.metric for row in rows if row.values), None)
    higher = metric is None or selection_metrics()[metric]
    study = optuna.create_study(
        direction="maximize" if higher else "minimize",
        sampler=optuna.samplers.TPESampler(seed=len(rows), constant_liar=True),
    )
    for row in rows:
        failed = row.mean is None
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState[("COMPLETE", "FAIL")[failed]],
                params={k: _to_space(settings[k], value) for k, value in row.settings.items()},
                distributions=spaces,
                value=row.mean,
            )
        )
    asked = [study.ask(spaces).params for _ in range(count)]
    return [{key: _of_space(settings[key], params[key]) for key in settings} for params in asked]


def _space(distributions: Any, values: Any) -> Any:
    if not isinstance(values, Range):
        return distributions.CategoricalDistribution(tuple(range(len(values))))
    numbers = (values.low, values.high, values.step or 1)
    if all(isinstance(number, int) for number in numbers):
        return distributions.IntDistribution(*numbers[:2], log=values.log, step=numbers[2])
    return distributions.FloatDistribution(*numbers[:2], log=values.log, step=values.step)


def _to_space(values: Any, value: Any) -> Any:
    """A value as Optuna has it: one of a list by its position."""
    return value if isinstance(values, Range) else list(values).index(value)


def _of_space(values: Any, found: Any) -> Any:
    if not isinstance(values, Range):
        return values[found]
    if isinstance(found, int):
        return found
    return min(max(float(f"{found:.3g}"), values.low), values.high)  # three digits are enough


def _read(out: Path) -> list[Values]:
    path = out / TRIALS
    if not path.is_file():
        return []
    try:
        trials = json.loads(path.read_text(encoding="utf-8"))
        return [dict(trial) for trial in trials]
    except (OSError, ValueError, TypeError) as error:
        what = f"damaged ({error!r}); choose another --out"
        raise DataError(what, path=path) from None
