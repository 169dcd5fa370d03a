"""`penstock translate`: one output line per input line."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from penstock.cli.bulk_translation import Inputs, OutDir, Ray, TranslateProcesses, translate_files
from penstock.cli.column_flags import To
from penstock.cli.line_output import (
    Device,
    Engine,
    Input,
    MatrixPrecision,
    Output,
    Threads,
    transform_lines,
)
from penstock.cli.search_flags import (
    Models,
    SearchFlags,
    Weights,
    parse_weights,
    with_search_flags,
)
from penstock.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from penstock.tasks.translation.result import Translation

Format = Literal["text", "html", "json", "tsv"]


@with_search_flags
def translate(
    model: Models,
    source: Input = "-",
    output: Output = "-",
    n_best: Annotated[
        int, typer.Option(help="Alternatives per line; above 1 only with --format json or tsv.")
    ] = 1,
    layout: Annotated[
        Format,
        typer.Option(
            "--format",
            help="Plain text; HTML, whose tags are kept; JSON (one object per line) or TSV, "
            "confidence last.",
        ),
    ] = "text",
    scores: Annotated[
        bool, typer.Option("--scores", help="Print the score before each output.")
    ] = False,
    alignments: Annotated[
        bool,
        typer.Option("--alignments", help="Add the attention weights (JSON) or Pharaoh pairs."),
    ] = False,
    to: To = None,
    weights: Weights = None,
    precision: MatrixPrecision = "fp32",
    device: Device = "auto",
    engine: Engine = "auto",
    threads: Threads = None,
    inputs: Inputs = None,
    out_dir: OutDir = None,
    processes: TranslateProcesses = None,
    ray: Ray = None,
    *,
    flags: SearchFlags,
) -> None:
    """Translate each input line to one output line; blank lines stay blank.

    With --inputs and --out-dir, whole files: one out for each one in, what is there is kept.
    """
    from penstock.tasks.translation.translation_job import TranslationJob

    if n_best > 1 and layout in ("text", "html"):
        raise UsageError(
            f"--n-best above 1 needs --format json or tsv: {layout} has one line per line"
        )
    if layout == "html" and (alignments or flags.phrases):
        raise UsageError(
            "--format html goes without --alignments and --phrases, which are about the words of a "
            "line; leave them out, or give --format text"
        )
    shares = parse_weights(weights)
    job = TranslationJob(
        models=tuple(map(str, model)),
        options=flags.options.changed(n_best=n_best, alignments=alignments),
        layout=layout,
        scores=scores,
        to=to,
        weights=None if shares is None else tuple(shares),
        precision=precision,
        device=device,
        engine=engine,
        threads=threads,
    )
    if inputs is not None or out_dir is not None:
        if (source, output) != ("-", "-") or flags.phrases:
            raise UsageError(
                "--inputs goes without --input, --output and --phrases, which are about one file; "
                "leave them out"
            )
        translate_files(job, inputs, out_dir, processes, ray)
        return
    if processes is not None or ray is not None:
        raise UsageError("--processes and --ray are for many files; give --inputs and --out-dir")
    translator = job.load()
    phrases = flags.phrases_of_lines()

    def translated(lines: Sequence[str]) -> Iterable[Translation]:
        own = None if phrases is None else list(islice(phrases, len(lines)))
        if own is not None and len(own) < len(lines):
            raise UsageError(f"{flags.phrases}: has fewer lines than the input")
        return job.translate(translator, lines, own)

    transform_lines(source, output, translated, job.line, also_read=flags.files)
