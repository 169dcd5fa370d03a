"""`penstock generate`: a language model writes, as fast as one can read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from penstock.cli.console import flush, write_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Write text with a language model.")(generate)


def generate(
    model: Annotated[Path, typer.Option("--model", "-m", help="Run directory or bundle.")],
    prompt: Annotated[str, typer.Argument(help="Text to go on from.")] = "",
    length: Annotated[int, typer.Option(help="The most tokens to write.")] = 200,
    lines: Annotated[int | None, typer.Option(help="Stop after so many lines.")] = None,
    search: Annotated[
        Literal["sample", "greedy"], typer.Option(help="Draw each token, or take the likeliest.")
    ] = "sample",
    temperature: Annotated[
        float, typer.Option(help="Below 1 more cautious, above 1 wilder.")
    ] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Draw among the k likeliest.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw among the likeliest of this joint probability.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the drawing.")] = 1,
    samples: Annotated[int, typer.Option(min=1, help="Texts to write, seeds counting up.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a text.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
) -> None:
    """Write text with a language model, shown piece by piece; the prompt comes first."""
    import sys

    from penstock.cli.line_output import prepare_device
    from penstock.tasks.language_model.text_generator import TextGenerator, WritingOptions

    generator = TextGenerator.load(model, device=prepare_device(device, threads))
    for number in range(samples):
        options = WritingOptions(
            length=length,
            lines=lines,
            search=search,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed + number,
        )
        pieces = generator.generate(prompt, options)
        if as_json:
            write_json({"prompt": prompt, "text": "".join(pieces), "seed": seed + number})
            continue
        last = prompt
        sys.stdout.buffer.write(prompt.encode("utf-8", "replace"))
        for piece in pieces:
            sys.stdout.buffer.write(piece.encode("utf-8", "replace"))
            flush()
            last = piece or last
        sys.stdout.buffer.write(b"" if last.endswith("\n") else b"\n")
        flush()
