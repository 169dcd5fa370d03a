"""`penstock data list` and `penstock data get`: the catalogue of corpora."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli import console
from penstock.cli.data import app
from penstock.cli.data_clean import clean

if TYPE_CHECKING:
    from penstock.data.corpora.catalogue import Corpus
    from penstock.data.corpora.download import Progress


app.command()(clean)


@app.command("list")
def list_corpora(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """List the corpora that penstock knows by name."""
    from penstock.cli.console import write_json, write_line
    from penstock.data.corpora.catalogue import CATALOGUE

    rows = [_describe(corpus) for corpus in CATALOGUE]
    if json:
        write_json(rows)
        return
    widths = {key: max(len(str(row[key])) for row in rows) for key in ("name", "size", "licence")}
    for row in rows:
        cells = [str(row[key]).ljust(width) for key, width in widths.items()]
        placed = f" [placed: {row['path']}]" if row["placed"] else ""
        write_line("  ".join([*cells, f"{row['what']}{placed}"]))


@app.command("get")
def get(
    name: Annotated[str, typer.Argument(help="Name of the corpus (see `penstock data list`).")],
    file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            parser=console.path,
            help="Use this local file instead of downloading.",
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="Download from this mirror; the checksum is still verified."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Download again.")] = False,
) -> None:
    """Download and verify a corpus, and print its path."""
    from penstock.cli.console import note, write_line
    from penstock.data.corpora.catalogue import (
        corpus_path,
        get_corpus,
        is_placed,
        place_local,
    )
    from penstock.errors import UsageError

    if file and url:
        raise UsageError("--from and --url: give one of them, not both")
    if file:
        path = place_local(name, file)
    else:
        path = corpus_path(name)
        if not force and is_placed(name):
            note(f"{name} is placed already; --force fetches it again")
        elif not force and path.is_file():
            note(f"{path}: not as it was placed; it is fetched again")
        with _progress(name) as progress:
            path = get_corpus(name, url=url, force=force, progress=progress)
    write_line(str(path))


def _describe(corpus: Corpus) -> dict[str, str | bool | None]:
    from penstock.data.corpora.catalogue import corpus_path

    remote = corpus.remote
    path = corpus_path(corpus.name) if remote else None
    return {
        "name": corpus.name,
        "what": corpus.what,
        "licence": corpus.licence,
        "size": corpus.size,
        "url": remote.url if remote else None,
        "checksum": str(remote.checksum) if remote else None,
        "path": str(path) if path else None,
        "placed": path.is_file() if path else False,
    }


@contextmanager
def _progress(name: str) -> Generator[Progress | None]:
    """Show a progress bar if stderr is a terminal."""
    from rich.console import Console

    stderr = Console(stderr=True, highlight=False)
    if not stderr.is_terminal:
        yield None
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=stderr) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
