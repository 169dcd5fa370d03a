"""`penstock bench`: speed and memory, measured beside the hardware's limit in one run."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="Measure speed and memory on this machine.")
