"""`penstock plot`: learning curves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.console import note, path, write_line


def plot(
    runs: Annotated[list[Path], typer.Argument(parser=path, help="One or more run directories.")],
    out: Annotated[
        Path | None,
        typer.Option(parser=path, help="Figure (.svg, .png or .pdf). Default: RUN/curves.svg."),
    ] = None,
) -> None:
    """Plot losses and scores over training time."""
    from penstock.insight.training_curves import draw_curves

    target = out or runs[0] / "curves.svg"
    draw_curves(runs, target, note)
    write_line(str(target))
