"""A sweep: which settings are best, by runs with several seeds of each combination."""

from __future__ import annotations

from pathlib import Path

from penstock.errors import UsageError
from penstock.training.setting_search import search_settings
from penstock.training.sweep_results import Sweep
from penstock.training.sweep_runs import MakeConfig, Report, Runs, first_possible, table
from penstock.training.sweep_settings import Settings, combinations, varied_keys


def sweep(
    make: MakeConfig,
    settings: Settings,
    out: Path,
    *,
    seeds: int,
    jobs: int,
    report: Report,
    trials: int | None = None,
) -> Sweep:
    """Train each combination with each seed, under one folder; go on with what is missing.

    Args:
        make: the configuration of values by dotted key.
        settings: the values of each key; those that differ name the runs.
        out: the folder.
        seeds: runs of each combination: with the configuration's seed and those that follow it.
        jobs: runs at a time.
        report: called with a line per run.
        trials: try this many combinations, which a search proposes, instead of every one.

    Raises:
        ConfigError: no combination is possible.
        MissingExtraError: a search needs Optuna.
        UsageError: the folder holds other runs, the runs are not comparable, or a range without a
            search.
        KeyboardInterrupt: interrupted; the same call goes on.
    """
    varied = varied_keys(settings)
    if "training.metric" in varied or "seed" in varied:
        raise UsageError(
            "training.metric: its runs cannot be compared; choose one"
            if "training.metric" in varied
            else "seed: the seeds of a sweep are --seeds"
        )
    runs = Runs(out, make, jobs=jobs, report=report)
    if trials is not None:
        return Sweep.of(out, search_settings(runs, settings, trials=trials, seeds=seeds))
    chosen = combinations(settings)
    base = first_possible(make, chosen)
    return Sweep.of(out, table(runs, base, chosen, varied, seeds))
