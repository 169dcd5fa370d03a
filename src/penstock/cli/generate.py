"""`penstock generate`: a language model writes, as fast as one can read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.console import flush, note, write_json
from penstock.cli.line_output import Engine, Threads
from penstock.cli.option_flags import with_options
from penstock.tasks.language_model.writing_options import WritingOptions


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Write text with a language model.")(generate)


@with_options(WritingOptions, show_defaults=True)
def generate(
    model: Annotated[Path, typer.Option("--model", "-m", help="Run directory or bundle.")],
    prompt: Annotated[str, typer.Argument(help="Text to go on from.")] = "",
    *,
    options: WritingOptions,
    samples: Annotated[int, typer.Option(min=1, help="Texts to write, seeds counting up.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a text.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda.")] = "auto",
    engine: Engine = "auto",
    threads: Threads = None,
) -> None:
    """Write text with a language model, shown piece by piece; the prompt comes first."""
    import sys

    from penstock.tasks.language_model.text_generator import TextGenerator

    generator = TextGenerator.load(model, device=device, engine=engine, threads=threads)
    unknown = generator.unknown(prompt)
    if unknown:
        are = "1 token of the prompt is" if unknown == 1 else f"{unknown} tokens of the prompt are"
        note(f"{are} unknown to the model, which reads <unk> instead")
    for seed in range(options.seed, options.seed + samples):
        pieces = generator.generate(prompt, options.changed(seed=seed))
        if as_json:
            text = "".join(pieces)
            write_json({"prompt": prompt, "text": text, "seed": seed, "unknown": unknown})
            continue
        last = prompt
        sys.stdout.buffer.write(prompt.encode("utf-8", "replace"))
        for piece in pieces:
            sys.stdout.buffer.write(piece.encode("utf-8", "replace"))
            flush()
            last = piece or last
        sys.stdout.buffer.write(b"" if last.endswith("\n") else b"\n")
        flush()
