"""`penstock plot`: the curves of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.console import write_line


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Draw the curves of runs.")(plot)


def plot(
    runs: Annotated[list[Path], typer.Argument(help="One or more run directories.")],
    out: Annotated[
        Path | None, typer.Option(help="Figure (.svg, .png, .pdf). Default: RUN/curves.svg")
    ] = None,
) -> None:
    """Draw loss and scores over training time, from the runs' logs."""
    from penstock.insight.training_curves import draw_curves

    target = out or runs[0] / "curves.svg"
    draw_curves(runs, target)
    write_line(str(target))
