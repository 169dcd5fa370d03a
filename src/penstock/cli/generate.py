"""`penstock generate`: stream text from a language model."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli.console import flush, note, write_json
from penstock.cli.line_output import Device, Engine, Model, Threads
from penstock.cli.option_flags import with_options
from penstock.tasks.language_model.writing_options import WritingOptions


@with_options(WritingOptions, show_defaults=True)
def generate(
    model: Model,
    prompt: Annotated[str, typer.Argument(help="Text to continue.")] = "",
    *,
    options: WritingOptions,
    samples: Annotated[
        int, typer.Option(min=1, max=10**6, help="Number of texts, written with consecutive seeds.")
    ] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per text.")
    ] = False,
    device: Device = "auto",
    engine: Engine = "auto",
    threads: Threads = None,
) -> None:
    """Continue a prompt with a language model; the text appears as it is generated."""
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
