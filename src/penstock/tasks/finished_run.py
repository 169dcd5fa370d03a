"""What a run gets when its training has ended: graphs, and what tells of unfamiliar text."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

from penstock.bundle import INDEX, Bundle, load_bundle, save_bundle
from penstock.config import RunConfig
from penstock.errors import DataError
from penstock.tasks import TASKS
from penstock.tasks.model_export import export_run
from penstock.text.familiarity import MOST_LINES, Familiarity


def complete_run(config: RunConfig, run: Path) -> list[str]:
    """Export a finished run's model as `training.export` asks, and fit it to its held-out data.

    Returns:
        What to report.
    """
    if not (run / "model" / INDEX).is_file():
        return []
    reports = [export_run(config, run)]
    bundle = load_bundle(run)
    try:
        fitted, report = _with_familiarity(bundle)
        save_bundle(fitted, run / "model")
    except DataError as error:  # the data have gone since
        report = f"unfamiliar lines will not be reported: {error}"
    return [text for text in (*reports, report) if text]


def _with_familiarity(bundle: Bundle) -> tuple[Bundle, str]:
    from penstock.training.examples import open_data

    config = bundle.config
    if TASKS[config.task].learning().held_out is not None:
        return bundle, ""  # running text, which has no lines to report
    training, held_out = open_data(config, lambda _: None)
    read = bundle.source_tokenizer.normalized
    familiarity = Familiarity.fit(
        [read(pair.source) for pair in islice(training(), MOST_LINES)],
        [read(pair.source) for pair in held_out],
    )
    if familiarity is None:
        return bundle, "too little text to tell which lines are unlike it"
    return replace(bundle, familiarity=familiarity), ""
