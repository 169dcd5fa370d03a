"""One result per input line: options and the loop of the commands that read lines."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Annotated, Literal, Protocol, TypeVar

import typer

from penstock.cli.console import note, path
from penstock.config.option_model import MIN_CONFIDENCE, MOST_THREADS
from penstock.runtime.engine_choice import EngineName

Model = Annotated[Path, typer.Option("--model", "-m", parser=path, help="Run directory or bundle.")]
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


class Result(Protocol):
    """A result with a status."""

    @property
    def status(self) -> str:
        """`ok`, `empty`, or what else happened to the line."""
        ...


R = TypeVar("R", bound=Result)


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
    from penstock.errors import DataError
    from penstock.files import replacing, require_no_input
    from penstock.text.lines import in_chunks

    require_no_input(output, (source, *also_read))
    interactive = source == "-" and sys.stdin.isatty()
    texts = (line.text for line in read_lines(source))
    buffers = in_chunks(texts, max_lines=1) if interactive else in_chunks(texts)
    statuses: Counter[str] = Counter()
    recased = 0
    with ExitStack() as stack:
        if output == "-":
            stream: IO[bytes] = sys.stdout.buffer
        else:
            stream = stack.enter_context(stack.enter_context(replacing(output)).open("wb"))
        for buffer in buffers:
            try:
                results = transform(buffer)
            except DataError as error:
                if error.line is None or error.path is not None:
                    raise
                message = str(error).partition(": ")[2]
                line = error.line + statuses.total()
                raise DataError(message, path=source, line=line) from None
            for result in results:
                statuses[result.status] += 1
                recased += getattr(result, "read_as", None) is not None
                stream.write((shown(result) + "\n").encode("utf-8", "replace"))
            stream.flush()
    odd = {status: n for status, n in statuses.items() if status not in ("ok", "empty")}
    if odd:
        listed = ", ".join(f"{n:,} {status}" for status, n in sorted(odd.items()))
        total = statuses.total()
        lines = "1 line" if total == 1 else f"{total:,} lines"
        note(f"of {lines}: {listed} ({shown_by} shows which)")
    if recased:
        lines = "1 line was" if recased == 1 else f"{recased:,} lines were"
        note(f"{lines} read in other case ({shown_by} shows which)")
