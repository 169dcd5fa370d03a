"""`penstock compare`: is one model better than another, and where they differ."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.column_flags import Columns, HeaderRow
from penstock.cli.console import write_json, write_line
from penstock.cli.evaluate import AsJson, OnError, metric_names, reject_flags
from penstock.cli.evaluation_data import DataSelection
from penstock.cli.line_output import Device, Engine
from penstock.cli.search_flags import SearchFlags, with_search_flags
from penstock.config import METRICS
from penstock.errors import BundleError, UsageError
from penstock.text.lines import as_row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.bundle import Bundle
    from penstock.tasks.comparison import Comparison


@with_search_flags
def compare(
    models_and_data: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL MODEL [MODEL ...] DATA",
            help="Two models or more, then a file of pairs or labelled texts, or two "
            "line-parallel files.",
        ),
    ],
    metrics: Annotated[
        str | None,
        typer.Option(help="As for 'penstock evaluate'. Default: those that apply."),
    ] = None,
    differences: Annotated[
        int, typer.Option(min=0, max=10**6, help="Number of examples to show.")
    ] = 5,
    first: Annotated[
        int | None, typer.Option(min=1, max=10**12, help="Use only the first N pairs.")
    ] = None,
    columns: Columns = None,
    header: HeaderRow = "auto",
    on_error: OnError = "stop",
    device: Device = "auto",
    engine: Engine = "auto",
    as_json: AsJson = False,
    *,
    flags: SearchFlags,
) -> None:
    """Compare models on DATA: confidence intervals, paired bootstrap, and where they differ.

    Intervals are of 95 %. p is how likely so large a difference from the first model is by chance.
    """
    from penstock.files import require_no_input
    from penstock.tasks import TASKS
    from penstock.tasks.comparison import compare_models

    models, data = _divided(models_and_data)
    require_no_input("-", (*data, *flags.files))
    config = models[0][1].config
    use = TASKS[config.task].use()
    options: dict[str, Any] = {}
    if use.searches:
        options = {"options": flags.options, "phrases": flags.phrases_of_lines()}
    else:
        reason = f"{models[0][0]} is a model for {config.task}"
        reject_flags(reason, metrics=metrics, **dict.fromkeys(flags.used, True))
    found = compare_models(
        (use.model(bundle, device=device, engine=engine) for _, bundle in models),
        config,
        DataSelection(
            data, columns, header, on_error, first, model=models[0][0], trained=config.data
        ),
        metrics=metric_names(metrics),
        differences=differences,
        **options,
    )
    names = [name for name, _ in models]
    if as_json:
        write_json(_as_json(found, names))
    else:
        _write_table(found, names)


def _as_json(found: Comparison, names: Sequence[str]) -> dict[str, Any]:
    scores = {
        metric: [{"model": name, **asdict(s)} for name, s in zip(names, own, strict=True)]
        for metric, own in found.scores.by_metric.items()
    }
    signature = found.scores.signature
    return {**asdict(found), "models": names, "scores": scores, "signature": signature}


def _write_table(found: Comparison, names: Sequence[str]) -> None:
    write_line(as_row(["metric", "model", "score", "±", "p"]))
    for metric, own in found.scores.by_metric.items():
        label = METRICS[metric].label if metric in METRICS else f"{metric} %"
        for name, score in zip(names, own, strict=True):
            p = "" if score.p_value is None else f"{score.p_value:.3f}"
            row = [label, name, f"{score.score:.2f}", f"{score.interval:.2f}", p]
            write_line(as_row(row))
    if found.scores.signature:
        write_line(as_row(["signature", found.scores.signature]))
    write_line(as_row(["sentences", f"{found.examples}"]))
    for each in found.differences:
        write_line("")
        write_line(as_row(["source", "", each.source]))
        for reference in each.references:
            write_line(as_row(["reference", "", reference]))
        for name, score, output in zip(names, each.scores, each.outputs, strict=True):
            write_line(as_row([name, f"{score:.1f}", output]))


def _divided(arguments: list[str]) -> tuple[list[tuple[str, Bundle]], list[str]]:
    """The models and the data.

    Raises:
        UsageError: fewer than two models, or no data.
        BundleError: a model is damaged or for another task than the first.
    """
    names = list(_leading_models(arguments))
    data = arguments[len(names) :]
    if len(names) < 2 or not data:
        place = f"'{arguments[len(names)]}' is no model" if data else "the data are missing"
        raise UsageError(
            f"give two models or more, then the data ({place}); for example: "
            "penstock compare runs/gru runs/lstm test.tsv"
        )
    from penstock.bundle import load_bundle
    from penstock.tasks import TASKS

    first = load_bundle(names[0])
    task = TASKS[first.config.task]
    others = [load_bundle(name, task=task) for name in names[1:]]
    return list(zip(names, [first, *others], strict=True)), data


def _leading_models(arguments: list[str]) -> Iterator[str]:
    from penstock.bundle import find_bundle

    for argument in arguments:
        try:
            find_bundle(Path(argument))
        except BundleError:
            return
        yield argument
