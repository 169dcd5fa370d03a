"""`penstock translate`: lines in, lines out, one for one."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from penstock.cli.console import as_row
from penstock.cli.line_output import (
    Device,
    Engine,
    Input,
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

Format = Literal["text", "json", "tsv"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="Translate lines, one for one.")(translate)


@with_search_flags
def translate(
    model: Models,
    source: Input = "-",
    output: Output = "-",
    n_best: Annotated[
        int, typer.Option(help="Alternatives a line; above 1 only with --format json or tsv.")
    ] = 1,
    layout: Annotated[
        Format, typer.Option("--format", help="text, one JSON object a line, or TSV.")
    ] = "text",
    scores: Annotated[
        bool, typer.Option("--scores", help="Put the score before each line.")
    ] = False,
    alignments: Annotated[
        bool, typer.Option("--alignments", help="Add the attention (JSON) or Pharaoh pairs.")
    ] = False,
    weights: Weights = None,
    precision: Annotated[
        Literal["fp32", "bf16"], typer.Option(help="Of the products; bf16 is faster.")
    ] = "fp32",
    device: Device = "auto",
    engine: Engine = "auto",
    threads: Threads = None,
    *,
    flags: SearchFlags,
) -> None:
    """Translate lines; every input line gives one output line, blank for blank."""
    from penstock.tasks.translation.translator import Translator

    if n_best > 1 and layout == "text":
        raise UsageError("--n-best above 1 needs --format json or tsv: text is one line for one")
    options = flags.options.changed(n_best=n_best, alignments=alignments)
    translator = Translator.load(
        *model,
        device=device,
        engine=engine,
        threads=threads,
        weights=parse_weights(weights),
        precision=precision,
    )
    phrases = flags.phrases_of_lines()

    def translated(lines: Sequence[str]) -> Iterable[Translation]:
        own = None if phrases is None else list(islice(phrases, len(lines)))
        if own is not None and len(own) < len(lines):
            raise UsageError(f"{flags.phrases}: fewer lines than there are to translate")
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
        return as_row(columns)
    line = f"{result.score:.6f}\t{result.text}" if scores else result.text
    return f"{line}\t{_pharaoh(result)}" if alignments and result.text else line


def _pharaoh(result: Translation) -> str:
    """Pairs `0-0 1-2` of source and target pieces: for each target piece its most attended."""
    if not result.alternatives or result.alternatives[0].alignment is None:
        return ""
    links: list[str] = []
    for position, weights in enumerate(result.alternatives[0].alignment):
        links.append(f"{max(range(len(weights)), key=weights.__getitem__)}-{position}")
    return " ".join(links)
