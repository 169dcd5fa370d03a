"""`penstock draw`: the network of a configuration, unrolled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.console import write_line
from penstock.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(draw)


def draw(
    source: Annotated[
        Path,
        typer.Argument(metavar="CONFIG|RUN", help="A configuration (.toml) or a run directory."),
    ],
    out: Annotated[Path, typer.Option(help="Figure (.svg, .png, .pdf).")],
    steps: Annotated[int, typer.Option(help="Tokens a side.")] = 4,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key: --set model.residual=true")
    ] = None,
) -> None:
    """Draw what depends on what: layers, steps, directions, attention, outputs."""
    from penstock.config import load_config
    from penstock.dependencies import unroll
    from penstock.diagram import draw_dependencies

    path = source / "config.toml" if source.is_dir() else source
    if source.is_dir() and not path.is_file():
        raise UsageError(
            f"{source}: no config.toml; give a configuration or the run directory of 'penstock "
            "train'"
        )
    draw_dependencies(unroll(load_config(path, overrides or ()), steps), out)
    write_line(str(out))
