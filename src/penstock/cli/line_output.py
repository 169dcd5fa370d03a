"""One result per input line: options and the loop of the commands that read lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Annotated, Literal

import typer

from penstock.cli.console import note, path
from penstock.config.option_model import MIN_CONFIDENCE, MOST_THREADS
from penstock.runtime.engine_choice import EngineName
from penstock.tasks.line_transform import R, write_results

Model = Annotated[
    Path,
    typer.Option("--model", "-m", parser=path, help="Run directory, bundle or hf://owner/name."),
]
Input = Annotated[str, typer.Option("--input", "-i", help="Input file; - reads standard input.")]
Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        help="Output file, never an input; - writes to standard output.",
    ),
]
Device = Annotated[str, typer.Option(help="Device: auto, cpu or cuda.")]
Threads = Annotated[
    int | None, typer.Option(min=1, max=MOST_THREADS, help="Number of CPU threads.")
]
MatrixPrecision = Annotated[
    Literal["fp32", "bf16"],
    typer.Option(help="Precision of torch's matrix products; bf16 chooses the torch engine."),
]
Engine = Annotated[
    EngineName,
    typer.Option(help="Inference engine; auto: ONNX Runtime on a CPU if the model has graphs."),
]


MinConfidence = Annotated[float | None, typer.Option(min=0, max=1, help=MIN_CONFIDENCE)]


def transform_lines(
    source: str,
    output: str,
    transform: Callable[[Sequence[str]], Iterable[R]],
    shown: Callable[[R], str],
    *,
    shown_by: str = "--format json",
    also_read: Iterable[str | Path | None] = (),
) -> None:
    """Write one result per input line, and count at the end the lines that were not `ok`.

    Lines are read in buffers; from a terminal, each line is answered at once. An error names the
    line of the file.

    Args:
        source, output: files; `-` for the standard streams.
        transform: computes the results of a buffer.
        shown: formats a result.
        shown_by: what shows the status of each line, for the message.
        also_read: other files that `transform` reads, which `output` must not replace.
    """
    from penstock.data.formats.input_lines import read_lines
    from penstock.files import replacing, require_no_input
    from penstock.text.lines import in_chunks

    require_no_input(output, (source, *also_read))
    interactive = source == "-" and sys.stdin.isatty()
    texts = (line.text for line in read_lines(source))
    buffers = in_chunks(texts, max_lines=1) if interactive else in_chunks(texts)
    with ExitStack() as stack:
        if output == "-":
            stream: IO[bytes] = sys.stdout.buffer
        else:
            stream = stack.enter_context(stack.enter_context(replacing(output)).open("wb"))
        counts = write_results(buffers, transform, shown, stream, source=source)
    for text in counts.notes(shown_by):
        note(text)
