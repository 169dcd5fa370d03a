"""`penstock evaluate` and `penstock score`: the quality of a model, the probability of data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from penstock.cli.column_flags import Columns, HeaderRow, LanguageColumn, To
from penstock.cli.console import note, path, write_json, write_line
from penstock.cli.evaluation_data import DataSelection
from penstock.cli.line_output import Device, Engine
from penstock.cli.search_flags import (
    Models,
    SearchFlags,
    Weights,
    parse_weights,
    with_search_flags,
)
from penstock.cli.search_report import report_searches
from penstock.config import METRICS
from penstock.errors import UsageError
from penstock.tasks import TASKS
from penstock.text.lines import as_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.bundle import Bundle
    from penstock.runtime.engine_choice import EngineName


Data = Annotated[
    list[str],
    typer.Argument(
        help="File of pairs or labelled texts, two line-parallel files, or a text file."
    ),
]
OnError = Annotated[Literal["stop", "skip"], typer.Option(help="What to do with unusable lines.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@with_search_flags
def evaluate(
    data: Data,
    model: Models,
    metrics: Annotated[
        str | None,
        typer.Option(
            help=f"Any of {','.join(METRICS).replace('exact_match', 'exact')}. "
            "Default: those that apply."
        ),
    ] = None,
    preprocess: Annotated[
        bool,
        typer.Option("--preprocess", help="Compare lower-cased and spaced texts, as in the book."),
    ] = False,
    first: Annotated[
        int | None, typer.Option(min=1, max=10**12, help="Use only the first N pairs.")
    ] = None,
    after: Annotated[
        int,
        typer.Option(
            min=0, max=10**12, help="Skip the first N pairs, and later pairs with their sources."
        ),
    ] = 0,
    columns: Columns = None,
    language_column: LanguageColumn = None,
    to: To = None,
    header: HeaderRow = "auto",
    on_error: OnError = "stop",
    out: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="Also write source, output and references to this TSV file, never an input.",
        ),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(
            parser=path, help="Also draw how reliable the confidence is (.svg, .png or .pdf)."
        ),
    ] = None,
    search_report: Annotated[
        bool,
        typer.Option("--search-report", help="Compare greedy, beam and exact search instead."),
    ] = False,
    weights: Weights = None,
    device: Device = "auto",
    engine: Engine = "auto",
    as_json: AsJson = False,
    *,
    flags: SearchFlags,
) -> None:
    """Evaluate a model on DATA: its translations, labels or blanks, or a text's perplexity."""
    from penstock.bundle import load_bundle
    from penstock.figure import check_figure_name
    from penstock.files import atomic_write, require_no_input

    for output in ("-", out, figure):
        if output is not None:
            require_no_input(output, (*data, *flags.files))
    if figure is not None:
        check_figure_name(figure)
    search = flags.options
    bundle = load_bundle(model[0])
    task = TASKS[bundle.config.task]
    use = task.use()
    selection = DataSelection(
        data,
        columns,
        header,
        on_error,
        first,
        after,
        model=str(model[0]),
        trained=bundle.config.data,
        language_column=language_column,
        to=to,
    )
    options: dict[str, Any] = {}
    if use.searches:
        options = {
            "metrics": metric_names(metrics),
            "in_book_form": preprocess,
            "options": search,
            "phrases": flags.phrases_of_lines(),
        }
    else:
        reject_flags(
            f"{model[0]} is a model for {task.name}",
            metrics=metrics,
            preprocess=preprocess or None,
            search_report=search_report or None,
            weights=weights,
            model=model[1:] or None,
            language_column=language_column,
            to=to,
            **dict.fromkeys(flags.used, True),
        )
    if out is not None and task.has_one_text:
        raise UsageError(
            f"--out: {model[0]} is a model for {task.name}, measured over a whole text; "
            "leave it out ('penstock score' writes one result per line)"
        )
    ready = _model(bundle, model, weights, device, engine, to)
    if search_report:
        report_searches(ready, list(selection.pairs()), search, as_json=as_json)
        return
    found = use.evaluate(ready, selection, **options)
    for text in found.notes:
        note(text)
    if figure is not None:
        from penstock.insight.reliability_diagram import draw_reliability

        if found.reliability is None:
            raise UsageError(f"--figure: outputs of {model[0]} have no confidence to draw")
        draw_reliability(found.reliability, figure)
    if out is not None:
        atomic_write(out, "\n".join(map(as_row, found.outputs)) + "\n")
    if as_json:
        write_json(dict(found.report))
    else:
        for row in found.rows:
            write_line(as_row(row))


def _model(
    bundle: Bundle,
    models: Sequence[Path],
    weights: str | None,
    device: str,
    engine: EngineName,
    to: str | None = None,
) -> Any:
    """Load the model, or the ensemble of several models; one that translates into `to`."""
    from penstock.bundle import load_bundle

    task = TASKS[bundle.config.task]
    use = task.use()
    if not use.searches:
        return use.model(bundle, device=device, engine=engine)
    others = [load_bundle(path, task=task) for path in models[1:]]
    shares = parse_weights(weights)
    ready = use.model(bundle, device=device, engine=engine, others=others, weights=shares)
    return ready if to is None else ready.to(to)


def metric_names(metrics: str | None) -> list[str]:
    """Parse `--metrics` into the names that `score_corpus` uses."""
    names = [name.strip() for name in metrics.split(",")] if metrics else []
    return ["exact_match" if name == "exact" else name for name in names]


def score(
    data: Data,
    model: Models,
    columns: Columns = None,
    language_column: LanguageColumn = None,
    to: To = None,
    header: HeaderRow = "auto",
    on_error: OnError = "stop",
    weights: Weights = None,
    device: Device = "auto",
    engine: Engine = "auto",
    as_json: AsJson = False,
) -> None:
    """Print log-probability and perplexity per pair, or per line of a text."""
    import math

    from penstock.bundle import load_bundle
    from penstock.files import require_no_input

    require_no_input("-", data)
    bundle = load_bundle(model[0])
    task = bundle.config.task
    use = TASKS[task].use()
    if use.score is None:
        raise UsageError(
            f"{model[0]} is a model for {task}, which gives a text no probability; measure it with "
            "'penstock evaluate'"
        )
    if not use.searches:
        reason = f"{model[0]} is a model for {task}"
        reject_flags(
            reason,
            weights=weights,
            model=model[1:] or None,
            language_column=language_column,
            to=to,
        )
    ready = _model(bundle, model, weights, device, engine, to)
    selection = DataSelection(
        data,
        columns,
        header,
        on_error,
        model=str(model[0]),
        trained=bundle.config.data,
        language_column=language_column,
        to=to,
    )
    total, tokens = 0.0, 0
    for text in use.score(ready, selection):
        total += text.log_probability
        tokens += text.tokens
        if as_json:
            write_json(
                {
                    **text.texts,
                    "log_probability": text.log_probability,
                    "tokens": text.tokens,
                    "perplexity": text.perplexity,
                }
            )
        else:
            perplexity = "" if text.perplexity is None else f"{text.perplexity:.3f}"
            write_line(as_row([f"{text.log_probability:.4f}", perplexity, *text.texts.values()]))
    if tokens:
        perplexity = math.exp(min(-total / tokens, 700.0))
        note(f"all: log-probability {total:.1f}, perplexity {perplexity:.3f}")


def reject_flags(reason: str, **values: object) -> None:
    """Reject flags of a search for a model that has none.

    Raises:
        UsageError: one of them has a value.
    """
    for name, value in values.items():
        if value is not None:
            flag = "--" + name.replace("_", "-")
            raise UsageError(f"{flag} applies to translation only; {reason}: leave it out")
