"""`penstock sweep`: a run for each combination of settings and each seed, and a table of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.column_flags import Columns, LanguageColumn, OptionalHeaderRow
from penstock.cli.console import note, path, write_json, write_line
from penstock.cli.evaluate import AsJson, OnError
from penstock.cli.train import data_flags, run_config
from penstock.config import METRICS
from penstock.errors import PenstockError, UsageError
from penstock.text.lines import as_row

if TYPE_CHECKING:
    from penstock.config import RunConfig
    from penstock.training.sweep_results import Sweep


def sweep(
    data: Annotated[
        list[str],
        typer.Argument(
            help="Configuration (.toml), files of pairs, two line-parallel files, or 'builtin'."
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="A key and its values, separated by commas: --set model.cell=gru,lstm; one value "
            "sets it for all runs.",
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, max=1000, help="Runs of each combination, seed after seed.")
    ] = 1,
    jobs: Annotated[int, typer.Option(min=1, max=1000, help="Runs at a time.")] = 1,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10**6,
            help="Search: try this many combinations; a key may then have a range: "
            "--set model.dropout=0.1..0.5",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=path, help="Folder of the runs. Default: runs/NAME-sweep."),
    ] = None,
    valid: Annotated[
        str | None,
        typer.Option(
            help="Held-out file; several, or two parallel, as A,B. Default: hold out some data."
        ),
    ] = None,
    columns: Columns = None,
    language_column: LanguageColumn = None,
    header: OptionalHeaderRow = None,
    on_error: OnError = "stop",
    as_json: AsJson = False,
) -> None:
    """Train a model for each combination of settings and each seed, and compare their scores.

    The same command again goes on with what is missing. With --trials a search proposes the
    combinations (extra 'sweep').
    """
    from penstock.training.run_settings import run_name
    from penstock.training.sweep_of_settings import sweep as run_sweep
    from penstock.training.sweep_settings import parse_settings

    settings = parse_settings(overrides or ())
    skip = None if on_error == "stop" else on_error
    flags = data_flags(valid, columns, skip, header=header, language=language_column)

    def make(values: Mapping[str, Any]) -> RunConfig:
        clash = next((key for key in values if key in flags), None)
        if clash:
            raise UsageError(f"--set {clash}: set by a flag too; leave one of them out")
        return run_config(data, {**values, **flags}, [], None)[0]

    name = Path(data[0]).stem if data[0].endswith(".toml") else run_name(data[0])
    folder = out or Path("runs") / f"{name}-sweep"
    found = run_sweep(make, settings, folder, seeds=seeds, jobs=jobs, trials=trials, report=note)
    if as_json:
        write_json(_as_json(found))
    else:
        _write_table(found)
    by_failure: dict[str, list[str]] = {}
    for run in found.failures:
        by_failure.setdefault(run.failure, []).append(run.path.name)
    for failure, names in by_failure.items():
        note(f"failed: {', '.join(names)}: {failure}")
    if found.best.mean is None:
        raise PenstockError(f"every run failed; their messages are in {found.path / 'messages'}")


def _write_table(found: Sweep) -> None:
    label = METRICS[found.metric].label if found.metric in METRICS else found.metric
    keys = list(found.best.settings)
    write_line(as_row([*keys, label, "±", "runs", "failed", "minutes"]))
    for row in found.rows:
        failed = sum(bool(run.failure) for run in row.runs)
        minutes = [run.minutes for run in row.runs if not run.failure]
        write_line(
            as_row(
                [
                    *(_shown(row.settings[key]) for key in keys),
                    "" if row.mean is None else f"{row.mean:.3f}",
                    "" if row.spread is None else f"{row.spread:.3f}",
                    str(len(row.values)),
                    str(failed),
                    f"{sum(minutes) / len(minutes):.1f}" if minutes else "",
                ]
            )
        )


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _as_json(found: Sweep) -> dict[str, Any]:
    rows = [
        {
            "settings": row.settings,
            "mean": row.mean,
            "spread": row.spread,
            "runs": [{**asdict(run), "path": str(run.path)} for run in row.runs],
        }
        for row in found.rows
    ]
    return {"metric": found.metric, "path": str(found.path), "rows": rows}
