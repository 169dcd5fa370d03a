"""`penstock translate`: one output line per input line."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from penstock.cli.column_flags import To
from penstock.cli.console import as_cell, as_row
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
    *,
    flags: SearchFlags,
) -> None:
    """Translate each input line to one output line; blank lines stay blank."""
    from penstock.tasks.translation.html_translation import translate_html
    from penstock.tasks.translation.translator import Translator

    if n_best > 1 and layout in ("text", "html"):
        raise UsageError(
            f"--n-best above 1 needs --format json or tsv: {layout} has one line per line"
        )
    if layout == "html" and (alignments or flags.phrases):
        raise UsageError(
            "--format html goes without --alignments and --phrases, which are about the words of a "
            "line; leave them out, or give --format text"
        )
    options = flags.options.changed(n_best=n_best, alignments=alignments)
    translator = Translator.load(
        *model,
        device=device,
        engine=engine,
        threads=threads,
        weights=parse_weights(weights),
        precision=precision,
    )
    if to is not None:
        translator = translator.to(to)
    phrases = flags.phrases_of_lines()

    def translated(lines: Sequence[str]) -> Iterable[Translation]:
        if layout == "html":
            return translate_html(translator, lines, options)
        own = None if phrases is None else list(islice(phrases, len(lines)))
        if own is not None and len(own) < len(lines):
            raise UsageError(f"{flags.phrases}: has fewer lines than the input")
        return translator.translate(lines, options, phrases=own)

    def shown(result: Translation) -> str:
        return _shown(result, layout, scores, alignments)

    transform_lines(source, output, translated, shown, also_read=flags.files)


def _shown(result: Translation, layout: Format, scores: bool, alignments: bool) -> str:
    if layout == "json":
        import json

        from penstock.tasks.translation.result import as_json_object

        return json.dumps(as_json_object(result), ensure_ascii=False)
    if layout == "tsv":
        rows = [(a.score, a.text) for a in result.alternatives] or [(result.score, result.text)]
        columns = [result.source]
        for score, text in rows:
            columns += [f"{score:.6f}", text] if scores else [text]
        return as_row([*columns, as_cell(result.confidence)])
    line = f"{result.score:.6f}\t{result.text}" if scores else result.text
    return f"{line}\t{_pharaoh(result)}" if alignments and result.text else line


def _pharaoh(result: Translation) -> str:
    """Format the alignment as `0-0 1-2`: each target piece with its most attended source piece."""
    if not result.alternatives or result.alternatives[0].alignment is None:
        return ""
    links: list[str] = []
    for position, weights in enumerate(result.alternatives[0].alignment):
        links.append(f"{max(range(len(weights)), key=weights.__getitem__)}-{position}")
    return " ".join(links)
