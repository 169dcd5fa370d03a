"""`penstock draw`: the unrolled network of a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.console import path, write_line
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.config import RunConfig


def draw(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG|RUN", parser=path, help="Configuration (.toml) or run directory."
        ),
    ],
    out: Annotated[Path, typer.Option(parser=path, help="Figure (.svg, .png or .pdf).")],
    steps: Annotated[int, typer.Option(min=1, max=100, help="Tokens per side.")] = 4,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key: --set model.residual=true")
    ] = None,
) -> None:
    """Draw a network unrolled over time: its layers, directions, attention and outputs."""
    from penstock.files import require_no_input
    from penstock.insight.unrolled_figure import draw_dependencies
    from penstock.tasks.unrolled_graph import unroll

    require_no_input(out, [source])
    draw_dependencies(unroll(_configuration(source, overrides or ()), steps), out)
    write_line(str(out))


def _configuration(source: Path, overrides: Sequence[str]) -> RunConfig:
    """Read the configuration of a file, a run directory or a bundle."""
    from penstock.config import load_config, parse_config
    from penstock.hub import is_hub_address

    fetched = is_hub_address(source)
    if not fetched and (source.is_file() or not source.exists()):
        return load_config(source, overrides)
    if (source / "config.toml").is_file():
        return load_config(source / "config.toml", overrides)
    if not fetched and not (source / "bundle.json").is_file():
        raise UsageError(
            f"{source}: no config.toml; give a configuration or the run directory of 'penstock "
            "train'"
        )
    from penstock.bundle import load_bundle

    return parse_config(load_bundle(source).config.model_dump(), overrides, place=str(source))
