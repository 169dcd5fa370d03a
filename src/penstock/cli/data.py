"""`penstock data`: check, split and measure corpora."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from penstock.cli import console
from penstock.cli.column_flags import Columns, HeaderRow, one_or_several
from penstock.errors import DataError, UsageError

if TYPE_CHECKING:
    from penstock.data.check import CorpusReport, Finding
    from penstock.data.formats.column_choice import Header
    from penstock.data.formats.readers import ReadOptions
    from penstock.data.split import SplitReport
    from penstock.data.stats import CorpusStats, SideStats

app = typer.Typer(
    no_args_is_help=True, help="List, fetch, check, clean, split and measure corpora."
)

Data = Annotated[
    list[str],
    typer.Argument(
        metavar="DATA",
        help="Files of pairs (.tsv, .csv, .jsonl or .parquet, optionally .gz, .xz or .zst; - reads "
        "TSV from standard input), a quoted glob, a folder of Parquet files; or two line-parallel "
        "files of sources and targets.",
    ),
]
OnError = Annotated[
    Literal["stop", "skip"],
    typer.Option(help="Stop at an unusable line, or skip and report it."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
HELD_OUT_HELP = "Validation or test file; several, or two line-parallel ones, as A,B."


@app.command()
def check(
    data: Data,
    held_out: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help=HELD_OUT_HELP + " Repeatable.")
    ] = None,
    columns: Columns = None,
    header: HeaderRow = "auto",
    on_error: OnError = "skip",
    as_json: AsJson = False,
) -> None:
    """Find the flaws of a corpus.

    Reports duplicates, empty sides, unusable lines, outliers in length and length ratio, sources
    with several targets, odd characters, mixed scripts, and overlap with held-out files.
    """
    from penstock.data.check import check_corpus
    from penstock.files import require_no_input

    require_no_input("-", (*data, *(held_out or ())))
    files = [one_or_several(file) for file in held_out or ()]
    options = read_options(columns, on_error, header)
    report = check_corpus(data, held_out=files, options=options)
    if as_json:
        console.write_json(report.to_dict())
    else:
        _print_report(report)
    if not report.pairs:
        raise DataError(
            "no sentence pairs found; each line has a source, a tab and a target, or give "
            "--columns",
            path=", ".join(data),
        )


@app.command()
def split(
    data: Data,
    out: Annotated[
        Path, typer.Option(metavar="DIR", parser=console.path, help="Folder for the three files.")
    ],
    valid: Annotated[
        int | None,
        typer.Option(
            min=0, max=10**9, help="Sentences in valid.jsonl. Default: 1000, or a tenth if fewer."
        ),
    ] = None,
    test: Annotated[
        int | None,
        typer.Option(min=0, max=10**9, help="Sentences in test.jsonl. Default: as in valid.jsonl."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Random seed.")] = 1,
    keep_shared_targets: Annotated[
        bool,
        typer.Option(
            "--keep-shared-targets",
            help="Keep training pairs whose target is also held out (labels, pronunciations).",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the files of an earlier split.")
    ] = False,
    columns: Columns = None,
    header: HeaderRow = "auto",
    on_error: OnError = "stop",
    as_json: AsJson = False,
) -> None:
    """Split into train.tsv, valid.jsonl and test.jsonl.

    No source sentence is in two of them. A held-out sentence comes with all its translations, as
    {"source": ..., "targets": [...]}; training pairs are shuffled, and none has a held-out target.
    """
    from penstock.data.split import split_corpus

    report = split_corpus(
        data,
        out,
        valid=valid,
        test=test,
        seed=seed,
        keep_shared_targets=keep_shared_targets,
        overwrite=overwrite,
        options=read_options(columns, on_error, header),
    )
    if as_json:
        console.write_json(report.to_dict())
    else:
        _print_split(report)


@app.command()
def cut(
    text: Annotated[str, typer.Argument(help="Text file.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", parser=console.path, help="Folder for the three files.")
    ],
    shares: Annotated[
        str, typer.Option(help="Shares of train, valid and test, as percentages or fractions.")
    ] = "90,5,5",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the files of an earlier cut.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Cut a text into train.txt, valid.txt and test.txt, in this order, for language models."""
    from penstock.data.cut import cut_text

    try:
        numbers = [float(share) for share in shares.split(",")]
    except ValueError:
        raise UsageError(f"--shares {shares!r}: write three numbers, as in 90,5,5") from None
    parts = cut_text(text, out, shares=numbers, overwrite=overwrite)
    total = math.fsum(numbers)
    if not any(math.isclose(total, whole, rel_tol=1e-9) for whole in (1, 100)):
        used = ", ".join(f"{100 * number / total:.1f} %" for number in numbers)
        console.note(f"--shares {shares} sum to {total:g}: they count as {used}")
    if as_json:
        console.write_json([part.to_dict() for part in parts])
        return
    rows = [(part.file, f"{part.lines:,}", f"{part.characters:,}") for part in parts]
    _print_table([("file", "lines", "characters"), *rows])


@app.command()
def stats(
    data: Data,
    held_out: Annotated[
        str | None,
        typer.Option(metavar="FILE", help=HELD_OUT_HELP + " Adds the rate of unknown tokens."),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=console.path,
            help="Draw a histogram of lengths (.svg, .png or .pdf).",
        ),
    ] = None,
    columns: Columns = None,
    header: HeaderRow = "auto",
    on_error: OnError = "stop",
    as_json: AsJson = False,
) -> None:
    """Measure sequence lengths, vocabulary sizes and unknown tokens.

    A token is a lower-case word, or one of , . ! ? as in the book.
    """
    from penstock.data.stats import corpus_stats, draw_lengths
    from penstock.figure import check_figure_name
    from penstock.files import require_no_input

    require_no_input("-", data)
    if figure is not None:
        check_figure_name(figure)
        require_no_input(figure, (*data, held_out))
    measured = corpus_stats(
        data,
        held_out=None if held_out is None else one_or_several(held_out),
        options=read_options(columns, on_error, header),
    )
    if figure is not None:
        draw_lengths(measured, figure)
        console.note(f"wrote {figure}")
    if as_json:
        console.write_json(measured.to_dict())
    else:
        _print_stats(measured)


def read_options(
    columns: str | None, on_error: Literal["stop", "skip"], header: Header = "auto"
) -> ReadOptions:
    """Convert the command line's options to the reader's."""
    from penstock.data.formats.column_choice import parse_columns
    from penstock.data.formats.readers import ReadOptions

    chosen = None if columns is None else parse_columns(columns)
    return ReadOptions(columns=chosen, header=header, on_error=on_error, report=console.note)


# --- tables -------------------------------------------------------------------------------------


def _print_table(rows: Iterable[tuple[Any, ...]]) -> None:
    """Print aligned columns, the first to the left, the others to the right."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for first, *others in texts:
        padded = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        console.write_line("  ".join((first.ljust(widths[0]), *padded)).rstrip())


def _print_report(report: CorpusReport) -> None:
    rows = [("pairs", f"{report.pairs:,}", ""), ("distinct sources", f"{report.sources:,}", "")]
    findings = {
        "empty sides": report.empty,
        "unusable lines": report.unusable,
        "duplicate pairs": report.duplicate_pairs,
        "repeated sources": report.repeated_sources,
        "sources with several targets": report.several_targets,
        "very long sources": report.long_sources,
        "very long targets": report.long_targets,
        "unusual length ratios": report.ratio_outliers,
        "mixed scripts in a word": report.mixed_scripts,
        **report.odd_characters,
    }
    rows += [(name, f"{found.count:,}", _lines(found)) for name, found in findings.items()]
    for leak in report.leakage:
        rows += [
            (f"in {leak.file}: sentences", f"{leak.sentences:,}", ""),
            ("  unusable lines", f"{leak.unusable:,}", ""),
            ("  that are sources in training", f"{leak.sources:,}", _lines(leak.train_sources)),
            (
                "  training pairs with their targets",
                f"{leak.train_targets.count:,}",
                _lines(leak.train_targets),
            ),
        ]
    _print_findings(rows)
    for example in (*report.unusable.examples, *report.mixed_scripts.examples):
        console.write_line(f"  {example}")


def _print_findings(rows: list[tuple[str, str, str]]) -> None:
    names, counts = (max(len(row[i]) for row in rows) for i in (0, 1))
    for name, count, lines in rows:
        console.write_line(f"{name.ljust(names)}  {count.rjust(counts)}  {lines}".rstrip())


def _lines(finding: Finding) -> str:
    if not finding.lines:
        return ""
    more = ", …" if finding.more else ""
    word = "line " if isinstance(finding.lines[0], int) else ""
    return f"{word}{', '.join(map(str, finding.lines))}{more}"


def _print_split(report: SplitReport) -> None:
    sizes = {
        "train": report.train_pairs,
        "valid": report.valid_sources,
        "test": report.test_sources,
    }
    for file in report.files:
        name = Path(file).stem
        unit = "pairs" if name == "train" else "sentences with all their targets"
        console.write_line(f"{file}: {sizes[name]:,} {unit}")
    if report.dropped_pairs:
        console.note(
            f"left out {report.dropped_pairs:,} pairs whose target is held out; where different "
            "sources share their targets (labels, pronunciations) use --keep-shared-targets"
        )
    if report.cleaned_texts:
        console.note(f"a tab or line break became a space in {report.cleaned_texts:,} texts")


def _print_stats(measured: CorpusStats) -> None:
    sides = (measured.source, measured.target)
    console.write_line(f"{measured.pairs:,} pairs")
    names = ("tokens", "mean", "median", "p99", "longest")
    _print_table(
        [
            ("tokens per sequence", "source", "target"),
            *((f"  {name}", *(_number(getattr(side, name)) for side in sides)) for name in names),
            *((f"  {a} to {b}", f"{s:,}", f"{t:,}") for a, b, s, t in measured.histogram()),
        ]
    )
    _print_table([("minimum frequency", "source", "target"), *_cutoff_rows(*sides)])


def _cutoff_rows(source: SideStats, target: SideStats) -> Iterable[tuple[str, str, str]]:
    cutoffs = list(zip(source.cutoffs, target.cutoffs, strict=True))
    for left, right in cutoffs:
        sizes = f"{left.vocab_size:,}", f"{right.vocab_size:,}"
        yield f"  {left.min_frequency}: vocabulary", *sizes
    for left, right in cutoffs:
        if left.unknown_rate is not None and right.unknown_rate is not None:
            rates = f"{left.unknown_rate:.2%}", f"{right.unknown_rate:.2%}"
            yield f"  {left.min_frequency}: unknown in held-out", *rates


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
