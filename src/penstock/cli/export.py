"""`penstock export`: write a model that runs without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.column_flags import Columns, HeaderRow
from penstock.cli.console import as_row, note, path, write_json, write_line
from penstock.cli.evaluation_data import DataSelection
from penstock.cli.line_output import Model
from penstock.config import ExportPrecision
from penstock.errors import UsageError

_Files = list[str] | None


def export(
    model: Model,
    out: Annotated[
        Path, typer.Option(parser=path, help="Directory of the new bundle, not the model's own.")
    ],
    precision: Annotated[
        ExportPrecision, typer.Option(help="Precision of matrix products and embeddings.")
    ] = "int8",
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
    from penstock.bundle import find_bundle, load_bundle, save_bundle
    from penstock.files import require_no_input
    from penstock.tasks.model_export import (
        examples_of,
        export_bundle,
        held_out_pairs,
        verify_export,
        write_model_card,
    )

    bundle = load_bundle(model)
    own = {find_bundle(model).resolve(), model.resolve()}
    if out.exists() and (not out.is_dir() or out.resolve() in own):
        raise UsageError(f"--out {out}: give another directory than the model's")
    require_no_input(out / "README.md", (*(calibrate or ()), *(verify or ())))
    pairs = None

    def selected(files: list[str]) -> DataSelection:
        return DataSelection(files, columns, header, trained=bundle.config.data)

    if calibrate:
        pairs = list(examples_of(bundle.config, selected(calibrate)))
    elif precision == "int8" or verify:
        pairs = held_out_pairs(bundle.config)
    exported = export_bundle(bundle, precision=precision, pairs=pairs)
    save_bundle(exported, out)
    found = verify_export(bundle, selected(verify), pairs) if verify else []
    write_model_card(exported, out, found)
    size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    note(f"{out}: {size:.1f} MB, {precision}; use it as -m {out}")
    if as_json:
        write_json(
            {
                "megabytes": round(size, 1),
                "precision": precision,
                "verified": [
                    {"engine": e.name, **e.scores, "differing": e.differing, "outputs": e.outputs}
                    for e in found
                ],
            }
        )
        return
    if found:
        names = list(found[0].scores)
        write_line(as_row(["engine", *names, "outputs that differ"]))
        for engine in found:
            values = [f"{engine.scores[name]:.2f}" for name in names]
            write_line(as_row([engine.name, *values, f"{engine.differing} of {engine.outputs}"]))
