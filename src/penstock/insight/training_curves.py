"""Learning curves of runs. Requires the `plot` extra."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penstock.data.formats.readers import ignore
from penstock.data.sealed_file import Report
from penstock.errors import DataError
from penstock.figure import check_figure_name, empty_figure, save_figure
from penstock.files import real_path
from penstock.training.progress import LOG, read_log

# a run is drawn with the first of these that its log has
_METRICS = {
    "bleu": "BLEU (greedy)",
    "accuracy": "accuracy (%)",
    "f1": "F1 (%)",
    "chrf": "chrF",
    "exact_match": "exact match (%)",
}


def draw_curves(runs: Sequence[Path], path: Path, report: Report = ignore) -> None:
    """Plot each run's losses and its task's metric over minutes of training.

    `report` is told of damaged lines in a log.

    Raises:
        MissingExtraError: matplotlib is not installed.
        DataError: a run has no evaluation in its log yet.
        UsageError: the figure's suffix names no format that we draw.
    """
    check_figure_name(path)
    evaluations = [(real_path(run).name, _evaluations(run, report)) for run in runs]
    metrics = list(dict.fromkeys(name for _, events in evaluations for name in _first(events)))
    figure = empty_figure(4.5 * (1 + len(metrics)), 3.6)
    panels = figure.subplots(1, 1 + len(metrics), squeeze=False)[0]
    labels = ["held-out loss (nats per token)", *(_METRICS[name] for name in metrics)]
    for axes, key, label in zip(panels, ["loss", *metrics], labels, strict=True):
        for color, (name, events) in enumerate(evaluations):
            if key != "loss" and key not in _first(events):
                continue
            minutes = [event["seconds"] / 60 for event in events]
            style = {"label": name, "color": f"C{color % 10}"}
            axes.plot(minutes, [event[key] for event in events], marker=".", **style)
            if key == "loss":
                training = [e["train_loss"] if e["update"] else math.nan for e in events]
                axes.plot(minutes, training, linestyle=":", color=style["color"])
        axes.set(xlabel="minutes of training", ylabel=label)
        axes.grid(visible=True, alpha=0.3)
    panels[0].set_title("solid: held-out, dotted: training (with smoothing)", fontsize=9)
    panels[0].legend()
    save_figure(figure, path)


def _first(events: Sequence[dict[str, Any]]) -> list[str]:
    return [name for name in _METRICS if _all_numbers(events, name)][:1]


def _all_numbers(events: Sequence[dict[str, Any]], *keys: str) -> bool:
    return all(isinstance(event.get(key), int | float) for event in events for key in keys)


def _evaluations(run: Path, report: Report) -> list[dict[str, Any]]:
    events = [event for event in read_log(run, report) if event["event"] == "evaluation"]
    if not run.is_dir():
        raise DataError("no such directory; give a run directory of 'penstock train'", path=run)
    if not events:
        raise DataError(
            f"no evaluation in {LOG} yet; is this a run directory of 'penstock train'?", path=run
        )
    learning = [event for event in events if event["update"]]  # nothing was learnt before
    if not (_all_numbers(events, "seconds", "loss") and _all_numbers(learning, "train_loss")):
        raise DataError(f"an evaluation in {LOG} has no time or loss; is it of a run?", path=run)
    return events
