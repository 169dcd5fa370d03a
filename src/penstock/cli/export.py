"""`penstock export`: write a model that runs without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.column_flags import Columns, HeaderRow
from penstock.cli.console import note, path, write_json, write_line
from penstock.cli.evaluation_data import DataSelection
from penstock.cli.line_output import Model
from penstock.config import ExportPrecision
from penstock.errors import UsageError
from penstock.files import real_path
from penstock.text.lines import as_row

if TYPE_CHECKING:
    from penstock.bundle import Bundle

_Files = list[str] | None


def export(
    model: Model,
    out: Annotated[
        Path | None,
        typer.Option(parser=path, help="Directory of the new bundle, not the model's own."),
    ] = None,
    web: Annotated[
        Path | None,
        typer.Option(
            parser=path,
            help="Directory of a web page that translates in the browser, without a server.",
        ),
    ] = None,
    show: Annotated[
        bool, typer.Option("--open", help="Open that page in the web browser.")
    ] = False,
    precision: Annotated[
        ExportPrecision | None,
        typer.Option(
            help="Precision of matrix products and embeddings; default: int8, or what the model's "
            "graphs have."
        ),
    ] = None,
    calibrate: Annotated[
        _Files,
        typer.Option(
            help="Held-out data for the int8 calibration; twice for line-parallel files. Default: "
            "the run's own held-out data."
        ),
    ] = None,
    verify: Annotated[
        _Files,
        typer.Option(help="Data to compare all engines on; twice for line-parallel files."),
    ] = None,
    columns: Columns = None,
    header: HeaderRow = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Export a model to ONNX with int8 weights: smaller, faster on a CPU, and free of torch."""
    from penstock.bundle import load_bundle, save_bundle
    from penstock.files import require_no_input
    from penstock.tasks.model_export import (
        examples_of,
        export_bundle,
        held_out_pairs,
        verify_export,
        write_model_card,
    )

    _check_places(model, out, web, show=show)
    bundle = load_bundle(model)

    def selected(files: list[str]) -> DataSelection:
        return DataSelection(files, columns, header, trained=bundle.config.data)

    read = (*(calibrate or ()), *(verify or ()))
    exported, pairs = bundle, None
    if out is not None or read or not _has_graphs(bundle, precision):
        precision = precision or "int8"
        if out is not None:
            require_no_input(out / "README.md", read)
        if calibrate:
            pairs = list(examples_of(bundle.config, selected(calibrate)))
        elif precision == "int8" or verify:
            pairs = held_out_pairs(bundle.config)
        exported = export_bundle(bundle, precision=precision, pairs=pairs)
    result: dict[str, Any] = {}
    if out is not None:
        save_bundle(exported, out)
    found = verify_export(bundle, selected(verify), pairs) if verify else []
    if out is not None:
        write_model_card(exported, out, found)
        size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
        note(f"{out}: {size:.1f} MB, {precision}; use it as -m {out}")
        result["megabytes"] = round(size, 1)
    if web is not None:
        result["web"] = _write_page(exported, model, web, show=show)
    if as_json:
        verified = [
            {"engine": e.name, **e.scores, "differing": e.differing, "outputs": e.outputs}
            for e in found
        ]
        write_json(result | {"precision": _precision(exported), "verified": verified})
        return
    if found:
        names = list(found[0].scores)
        write_line(as_row(["engine", *names, "outputs that differ"]))
        for engine in found:
            values = [f"{engine.scores[name]:.2f}" for name in names]
            write_line(as_row([engine.name, *values, f"{engine.differing} of {engine.outputs}"]))


def _check_places(model: Path, out: Path | None, web: Path | None, *, show: bool) -> None:
    from penstock.bundle import find_bundle

    if out is None and web is None:
        raise UsageError("give --out DIR for a bundle, --web DIR for a web page, or both")
    if show and web is None:
        raise UsageError("--open: there is no page to open; add --web DIR")
    own = {real_path(find_bundle(model)), real_path(model)}
    for flag, place in (("--out", out), ("--web", web)):
        if place is None or not place.exists():
            continue
        if not place.is_dir() or real_path(place) in own:
            raise UsageError(f"{flag} {place}: give another directory than the model's")
    if out is not None and web is not None and real_path(out) == real_path(web):
        raise UsageError(f"--out and --web {web}: give each a directory of its own")


def _precision(bundle: Bundle) -> str | None:
    return bundle.record.get("export", {}).get("precision")


def _has_graphs(bundle: Bundle, precision: ExportPrecision | None) -> bool:
    """Whether the model's own graphs will do."""
    from penstock.bundle import GRAPH_ROLES

    own = _precision(bundle)
    return any(role in bundle.files for role in GRAPH_ROLES) and precision in (None, own)


def _write_page(bundle: Bundle, model: Path, web: Path, *, show: bool) -> dict[str, Any]:
    """Write the web page; returns what is told of it."""
    from penstock.insight.web_page import web_files, write_web_page

    files = web_files(bundle, real_path(model).name, _curves(model))
    size, compressed = write_web_page(files, web)
    page = real_path(web / "index.html").as_uri()
    note(
        f"{web}: {size / 1e6:.1f} MB, {compressed / 1e6:.1f} MB compressed; open {web}/index.html, "
        "or put the directory on any web server"
    )
    if show:
        import webbrowser

        if not webbrowser.open(page):
            note(f"penstock: no web browser is found; open {page}")
    return {
        "megabytes": round(size / 1e6, 1),
        "compressed": round(compressed / 1e6, 1),
        "url": page,
    }


def _curves(run: Path) -> dict[str, Any] | None:
    """The evaluations of a run, as the page asks for them; None: they are not at hand."""
    from penstock.training.progress import LOG, read_log

    if not (run / LOG).is_file():
        return None
    events = [event for event in read_log(run) if event.get("event") in ("evaluation", "stop")]
    return {"name": real_path(run).name, "events": events, "next": len(events), "finished": True}
