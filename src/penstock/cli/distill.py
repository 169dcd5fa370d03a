"""`penstock distill`: a smaller, faster model that learns what larger ones translate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.cli.column_flags import Columns, HeaderRow, one_or_several
from penstock.cli.console import note, path
from penstock.cli.evaluate import OnError
from penstock.cli.line_output import Device, Engine, Threads
from penstock.cli.option_flags import with_options
from penstock.cli.search_flags import Weights, parse_weights
from penstock.cli.train import finish_run
from penstock.errors import UsageError
from penstock.tasks.translation.recipe import Recipe
from penstock.tasks.translation.search_options import SearchOptions


@with_options(SearchOptions, only=("beam_size", "length_penalty"), panel="Search")
def distill(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Text with a source per line; file of pairs, or two line-parallel files, to "
            "choose the translations nearest to the references.",
            show_default=False,
        ),
    ] = None,
    *,
    model: Annotated[
        list[Path] | None,
        typer.Option(
            "--model", "-m", parser=path, help="Teacher; several translate as an ensemble."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(parser=path, help="Run directory of the student.")],
    valid: Annotated[
        str | None,
        typer.Option(
            help="Held-out file; two parallel files as A,B. Default: what the first teacher's run "
            "held out."
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            parser=path, help="The student's configuration. Default: its teacher's, made smaller."
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a key of it: --set model.hidden_size=128"),
    ] = None,
    columns: Columns = None,
    header: HeaderRow = "auto",
    on_error: OnError = "stop",
    weights: Weights = None,
    device: Device = "auto",
    engine: Engine = "auto",
    threads: Threads = None,
    references: Annotated[
        bool,
        typer.Option(
            "--references/--no-references",
            help="Learn the references beside the translations.",
        ),
    ] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")] = False,
    options: SearchOptions,
) -> None:
    """Translate sources with one or several teachers, and train a smaller model on the result."""
    from penstock.cli.data import read_options
    from penstock.tasks.translation.distillation import distill as run_distillation
    from penstock.tasks.translation.teachers import FOLDER, RECIPE

    held_out = None if valid is None else one_or_several(valid)
    given: dict[str, Any] = {
        "valid": [held_out] if isinstance(held_out, str) else held_out,
        "columns": None if columns is None else read_options(columns, "stop").columns,
        "header": header,
        "on_error": on_error,
        "weights": parse_weights(weights),
        "learn_references": references,
        "beam_size": options.beam_size,
        "length_penalty": options.length_penalty,
        "device": device,
        "engine": engine,
    }
    recipe = None
    if model or sources or not resume:
        if not (model and sources):
            raise UsageError(
                "give a teacher and sources, for example: penstock distill -m runs/large "
                "sources.txt --out runs/small; to resume: penstock distill --resume --out RUN"
            )
        recipe = Recipe(teachers=[str(each) for each in model], sources=sources, **given)
    again = f"to resume: penstock distill --resume --out {out}"
    try:
        student, result = run_distillation(
            recipe, out, config=config, overrides=overrides or (), resume=resume, threads=threads
        )
    except KeyboardInterrupt:
        if not (out / FOLDER / RECIPE).exists():
            raise  # nothing has been translated
        note(f"penstock: interrupted; {again}")
        raise typer.Exit(130) from None
    if result.interrupted:
        note(again)
        raise typer.Exit(130)
    finish_run(student, out)
