"""`penstock data clean`: keep the pairs that are worth training on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli import console
from penstock.cli.column_flags import Columns, HeaderRow, To
from penstock.cli.data import AsJson, Data, OnError, read_options
from penstock.cli.line_output import Device, Engine, Threads
from penstock.cli.option_flags import with_options
from penstock.data.filters.filter_options import FilterOptions
from penstock.errors import UsageError, visible

if TYPE_CHECKING:
    from penstock.data.clean import CleaningReport, Score
    from penstock.runtime.engine_choice import EngineName

_SHOWN = 2  # examples of each filter
_MOST_CHARACTERS = 60  # of an example's text


@with_options(FilterOptions, show_defaults=True, panel="Filters")
def clean(
    data: Data,
    out: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            parser=console.path,
            help="File for the pairs that are kept (.tsv or .jsonl, optionally .gz, .xz or .zst).",
        ),
    ],
    rejected: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            parser=console.path,
            help="File for the others: line, reason, detail, source, target.",
        ),
    ],
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", parser=console.path, help="Also write the report, as JSON."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", "-m", parser=console.path, help="Translation model, for --min-score."
        ),
    ] = None,
    to: To = None,
    device: Device = "auto",
    engine: Engine = "auto",
    threads: Threads = None,
    columns: Columns = None,
    header: HeaderRow = "auto",
    on_error: OnError = "skip",
    as_json: AsJson = False,
    *,
    options: FilterOptions,
) -> None:
    """Keep the pairs that are worth training on; say of the others why they went out.

    The first filter that finds something decides: unusable, length, mojibake, characters, letters,
    ratio, copy, language (with --languages), duplicate, near-duplicate, score (with --model and
    --min-score). The input stays as it is.
    """
    from penstock.data.clean import clean_corpus
    from penstock.data.formats.corpus_files import expand
    from penstock.files import atomic_write, require_no_input

    outputs = [out, rejected, *([report] if report else [])]
    for output in ("-", *outputs):
        require_no_input(output, expand(data))
    if report in (out, rejected):
        raise UsageError(f"{report}: the report needs a file of its own")
    if to is not None and model is None:
        raise UsageError("--to: names a language of --model; give one, or leave it out")
    if (model is None) != (options.min_score is None):
        raise UsageError("--model and --min-score belong together; give both or neither")
    score = None if model is None else _score(model, to, device, engine, threads)
    found = clean_corpus(
        data,
        out,
        rejected=rejected,
        filters=options,
        score=score,
        options=read_options(columns, on_error, header),
    )
    if report is not None:
        atomic_write(report, json.dumps(found.to_dict(), ensure_ascii=False, indent=2) + "\n")
    if as_json:
        console.write_json(found.to_dict())
    else:
        _print(found)


def _score(
    model: Path, to: str | None, device: str, engine: EngineName, threads: int | None
) -> Score:
    """The mean log-probability of targets' tokens under a model."""
    from penstock.tasks.translation.translator import Translator

    translator = Translator.load(model, device=device, engine=engine, threads=threads)
    chosen = translator if to is None else translator.to(to)

    def score(pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [each.log_probability / each.tokens for each in chosen.score(pairs)]

    return score


def _print(report: CleaningReport) -> None:
    from penstock.data.filters.filter_table import FILTERS

    console.write_line(f"{report.kept:,} of {report.read:,} pairs kept: {report.out}")
    console.write_line(f"{report.read - report.kept:,} rejected: {report.rejected}")
    width = max(map(len, FILTERS))
    for name, removal in report.removed.items():
        share = removal.count / report.read
        bounds = ", ".join(f"{key} {value}" for key, value in removal.bounds.items())
        finds = FILTERS[name].finds + (f" ({bounds})" if bounds else "")
        console.write_line(f"{name.ljust(width)}  {removal.count:>9,}  {share:6.2%}  {finds}")
        for each in removal.examples[:_SHOWN]:
            where = f"line {each.line}" if isinstance(each.line, int) else each.line
            texts = " | ".join(map(_shorten, filter(None, (each.source, each.target))))
            console.write_line(f"    {where}: {' · '.join(filter(None, (each.detail, texts)))}")
    if report.off:
        console.write_line(f"off: {', '.join(report.off)}")
    if report.cleaned_texts:
        console.note(f"a tab or line break became a space in {report.cleaned_texts:,} texts")


def _shorten(text: str) -> str:
    text = visible(text.replace("\t", " ").replace("\n", " "))
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"
