"""`penstock push`: a model on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.console import note, path, write_line


def push(
    model: Annotated[Path, typer.Argument(parser=path, help="Run directory or bundle.")],
    repository: Annotated[str, typer.Argument(help="owner/name, or owner/name@branch.")],
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private.")
    ] = False,
    licence: Annotated[
        str | None, typer.Option(help="Licence of the model, as in apache-2.0 or cc-by-4.0.")
    ] = None,
    message: Annotated[str, typer.Option(help="Message of the commit.")] = "Model",
) -> None:
    """Put a model and a card of it on the Hugging Face hub, in one commit."""
    from penstock.tasks.hub_upload import push

    address = push(model, repository, private=private, licence=licence, message=message)
    note("use it as -m:")
    write_line(address)
