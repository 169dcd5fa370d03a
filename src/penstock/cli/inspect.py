"""`penstock inspect`: how a model translates one sentence, as a page, a figure or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from penstock.cli.console import write_json, write_line
from penstock.cli.line_output import Device, Engine, Model, Threads
from penstock.cli.option_flags import with_options
from penstock.errors import UsageError
from penstock.tasks.translation.search_options import SearchOptions

if TYPE_CHECKING:
    from penstock.insight import Inspection
    from penstock.insight.inspection_figure import View


@with_options(SearchOptions, only=("beam_size", "normalization", "length_penalty", "budget"))
def inspect(
    model: Model,
    text: Annotated[str, typer.Argument(metavar="SENTENCE", help="Sentence to translate.")],
    *,
    out: Annotated[
        str,
        typer.Option(
            "--out", "-o", help="Page (.html) or figure (.svg, .png or .pdf); - prints JSON."
        ),
    ] = "-",
    view: Annotated[
        Literal["attention", "alignment", "tree", "gates"] | None,
        typer.Option(help="What a figure shows; default: attention."),
    ] = None,
    options: SearchOptions,
    prefix: Annotated[
        list[str] | None,
        typer.Option(help="Target piece that the translation must begin with; repeatable."),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Also search for the best possible output.")
    ] = False,
    units: Annotated[
        bool | None, typer.Option(help="Include single gate units; default: only in a page.")
    ] = None,
    device: Device = "auto",
    engine: Engine = "auto",
    threads: Threads = None,
) -> None:
    """Show how a model translates a sentence: attention, the beam's tree, gates over time."""
    form = _form(out)
    if view is not None and form != "figure":
        raise UsageError("--view: a page and JSON hold every view; leave it out, or draw a figure")
    if "budget" in options.model_fields_set and not exact:
        raise UsageError("--budget is for exact search: add --exact, or leave it out")
    from penstock.insight import inspect_sentence
    from penstock.tasks.translation.translator import Translator

    translator = Translator.load(model, device=device, engine=engine, threads=threads)
    inspection = inspect_sentence(
        translator,
        text,
        options,
        prefix=prefix or (),
        exact=exact,
        units=form == "page" if units is None else units,
    )
    _write(inspection, out, form, view or "attention")


def _form(out: str) -> Literal["json", "page", "figure"]:
    if out == "-":
        return "json"
    if Path(out).suffix.lower() == ".html":
        return "page"
    from penstock.figure import FIGURE_SUFFIXES

    if Path(out).suffix.lower() not in FIGURE_SUFFIXES:
        raise UsageError(
            f"{out}: a page ends in .html, a figure in {', '.join(FIGURE_SUFFIXES)}; omit --out "
            "for JSON"
        )
    return "figure"


def _write(inspection: Inspection, out: str, form: str, view: View) -> None:
    if form == "json":
        from penstock.insight import as_json

        write_json(as_json(inspection))
        return
    if form == "page":
        from penstock.files import atomic_write
        from penstock.insight.html_document import make_document

        atomic_write(out, make_document(inspection))
    else:
        from penstock.insight.inspection_figure import draw_inspection

        draw_inspection(inspection, Path(out), view)
    write_line(out)
