"""`penstock learn`: the chapter's exercises and notebooks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.console import path, write_json, write_line

app = typer.Typer(help="The chapter's exercises and notebooks.", no_args_is_help=True)


@app.command("list")
def list_exercises(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
    chinese: Annotated[bool, typer.Option("--zh", help="In Chinese.")] = False,
) -> None:
    """List the exercises with their pages; those with a signature are checked by `learn check`."""
    from penstock.learn.exercise import CodingTask
    from penstock.learn.exercise_table import EXERCISES

    rows = [
        {
            "name": each.name,
            "page": each.page,
            "prompt": each.prompt.zh if chinese else each.prompt.en,
            "write": f"{each.signature}:" if isinstance(each, CodingTask) else None,
        }
        for each in EXERCISES.values()
    ]
    if json:
        write_json(rows)
        return
    for row in rows:
        write_line(f"{row['name']} ({row['page']})\n  {row['prompt']}")
        if row["write"]:
            write_line(f"  {row['write']}")


@app.command("check")
def check(
    exercise: Annotated[str, typer.Argument(help="Its name (see `penstock learn list`).")],
    file: Annotated[Path, typer.Argument(parser=path, help="Python file with your function.")],
) -> None:
    """Run your function for an exercise, and say what is wrong and why; exit 1 if it is wrong."""
    from penstock.errors import UsageError, unknown_name
    from penstock.learn.exercise import CodingTask
    from penstock.learn.exercise_table import EXERCISES
    from penstock.learn.verdict import check_file

    found = EXERCISES.get(exercise)
    if found is None:
        raise UsageError(unknown_name("exercise", exercise, EXERCISES))
    if not isinstance(found, CodingTask):
        raise UsageError(
            f"{exercise} asks for a number: answer it on the page {found.page!r} of the site"
        )
    verdict = check_file(found, file)
    write_line(f"{'right' if verdict.right else 'wrong'}: {verdict.reason}")
    if not verdict.right:
        raise typer.Exit(1)


@app.command("notebooks")
def notebooks(
    out: Annotated[Path, typer.Option(parser=path, help="Directory to write them into.")],
) -> None:
    """Write each page of the chapter as a notebook, in both languages (zh/)."""
    from penstock.learn.notebook import write_notebooks

    for written in write_notebooks(out):
        write_line(str(written))
