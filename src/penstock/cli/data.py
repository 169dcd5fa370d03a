"""`penstock data`: look at corpora, check them, split them."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="List, fetch, check, split and measure corpora.")
