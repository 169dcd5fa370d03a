"""Figures of runs (needs the extra `plot`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penstock.errors import DataError
from penstock.figure import check_figure_name, empty_figure, save_figure
from penstock.training.progress import LOG, read_log

_PANELS = (("loss", "held-out loss (nats a token)"), ("bleu", "BLEU (greedy)"))


def draw_curves(runs: Sequence[Path], path: Path) -> None:
    """Held-out loss, training loss and BLEU over minutes, one line a run.

    Raises:
        MissingExtraError: matplotlib is not installed.
        DataError: a run has no evaluation in its log yet.
        UsageError: the figure's suffix names no format that we draw.
    """
    check_figure_name(path)
    figure = empty_figure(9, 3.6)
    left, right = figure.subplots(1, 2)
    for run in runs:
        events = _evaluations(run)
        minutes = [event["seconds"] / 60 for event in events]
        for axes, (key, label) in zip((left, right), _PANELS, strict=True):
            axes.plot(
                minutes, [event[key] for event in events], marker=".", label=run.resolve().name
            )
            axes.set(xlabel="minutes of training", ylabel=label)
            axes.grid(visible=True, alpha=0.3)
        training = [event["train_loss"] for event in events]
        left.plot(minutes, training, linestyle=":", color=left.lines[-1].get_color())
    left.set_title("solid: held-out, dotted: training (with smoothing)", fontsize=9)
    right.legend()
    save_figure(figure, path)


def _evaluations(run: Path) -> list[dict[str, Any]]:
    events = [event for event in read_log(run) if event["event"] == "evaluation"]
    if not run.is_dir():
        raise DataError("no such directory; give a run directory of 'penstock train'", path=run)
    if not events:
        raise DataError(
            f"no evaluation in {LOG} yet; is this a run directory of 'penstock train'?", path=run
        )
    return events
