"""`penstock translate --inputs`: many files, by several processes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.console import note, path
from penstock.config.option_model import MOST_THREADS
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.tasks.translation.translation_job import TranslationJob

_PANEL = "Many files"
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--inputs",
        help="Pattern of input files, quoted, as in 'crawl/*.txt.zst'; repeatable.",
        rich_help_panel=_PANEL,
    ),
]
OutDir = Annotated[
    Path | None,
    typer.Option(
        "--out-dir",
        parser=path,
        help="Folder of the outputs: one file for each input, with its name and compression.",
        rich_help_panel=_PANEL,
    ),
]
TranslateProcesses = Annotated[
    int | None,
    typer.Option(
        "--processes",
        min=1,
        max=MOST_THREADS,
        help="Processes, each with a model of its own; default: 1.",
        rich_help_panel=_PANEL,
    ),
]

Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Translate on a Ray cluster: HOST:PORT; auto: the running one, or a new one of this "
        "machine; local: a new one.",
        rich_help_panel=_PANEL,
    ),
]


def translate_files(
    job: TranslationJob,
    inputs: list[str] | None,
    out_dir: Path | None,
    processes: int | None,
    address: str | None,
) -> None:
    """Translate files into a folder, and report on stderr.

    Raises:
        UsageError: inputs or folder are not given; see `translate_shards`.
        PenstockError: shards could not be translated.
    """
    from penstock.bulk.bulk_run import translate_shards

    if not inputs or out_dir is None:
        raise UsageError(
            "--inputs and --out-dir go together: a pattern of files, and a folder for their "
            "translations"
        )
    if address is not None:
        from penstock.ray import translate_on_ray

        if processes is not None:
            raise UsageError("--ray uses the cluster's cores; leave --processes out")
        execute = partial(translate_on_ray, address=address)
    else:
        from penstock.bulk.worker_pool import translate_in_processes

        execute = partial(translate_in_processes, processes=processes or 1)
    done = translate_shards(job, inputs, out_dir, execute, note)
    kept = f" ({done.kept:,} were there already)" if done.kept else ""
    speed = f", {done.lines / done.seconds:,.0f} a second" if done.lines else ""
    note(f"{done.shards:,} shards{kept}; {done.lines:,} lines translated{speed}")
