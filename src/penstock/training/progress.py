"""Progress of a run: the bar, the evaluation lines, the JSONL log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from penstock.config import METRICS, TrainingConfig
from penstock.config.json_types import is_object
from penstock.config.metric_table import labelled
from penstock.data.formats.readers import ignore
from penstock.data.sealed_file import Report
from penstock.errors import visible
from penstock.files import atomic_write, checksum_holds, with_checksum

if TYPE_CHECKING:
    from penstock.training.learner import HeldOutScores

LOG = "log.jsonl"

_LABELS = {"accuracy": "accuracy %", "f1": "F1 %"}


class RunLog:
    """`log.jsonl`, one line per event, and TensorBoard events if the extra is installed.

    Args:
        run: the run directory.
        until_update: the events up to it are kept; None: begin anew.
        report: is called with what is wrong with an older log.
        enabled: whether anything is written; of several processes, only the first one's.
    """

    def __init__(
        self,
        run: Path,
        *,
        until_update: int | None = None,
        report: Report = ignore,
        enabled: bool = True,
    ) -> None:
        self.path = run / LOG
        self._report = report
        self._enabled = enabled
        self._board = None
        if not enabled:
            return
        if until_update is None:
            self.path.write_text("", encoding="utf-8")
        else:
            self._truncate(until_update)
        self._board = _tensorboard(run)

    def write(self, event: str, update: int, **values: Any) -> None:
        """Append one event and flush it, so that a killed run keeps it."""
        if not self._enabled:
            return
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            record = with_checksum({"event": event, "update": update, **values})
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._board.add_scalar(f"{event}/{name}", value, update)

    def close(self) -> None:
        """Flush TensorBoard's events."""
        if self._board is not None:
            self._board.close()

    def _truncate(self, update: int) -> None:
        """Drop events logged after the checkpoint that the run resumes from."""
        if not self.path.exists():
            return
        events = read_log(self.path.parent, self._report)
        kept = [event for event in events if event["update"] <= update]
        lines = (json.dumps(with_checksum(event), ensure_ascii=False) + "\n" for event in kept)
        atomic_write(self.path, "".join(lines))


def read_log(run: str | Path, report: Report = ignore) -> list[dict[str, Any]]:
    """The events of a run, oldest first; empty if there is no log.

    Damaged lines are skipped and reported; so is, without a report, a last line cut short by a
    power failure.
    """
    path = Path(run) / LOG
    if not path.exists():
        return []
    events: list[dict[str, Any]] = []
    damaged = 0
    *lines, _ = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for line in lines:
        event = _event(line)
        if event is None:
            damaged += 1
        else:
            events.append(event)
    if damaged:
        report(f"{path}: {damaged:,} damaged lines are left out")
    return events


def _event(line: str) -> dict[str, Any] | None:
    """The event on a line; None if the line is damaged."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = is_object(event) and "event" in event and isinstance(event.get("update"), int)
    if not whole or not checksum_holds(event):
        return None
    return {key: value for key, value in event.items() if key != "checksum"}


def _shown(metric: str, value: float) -> str:
    label = METRICS[metric].label if metric in METRICS else _LABELS[metric]
    return labelled(label, value, decimals=1)


def _scores(scores: HeldOutScores) -> list[str]:
    return [
        f"held-out loss {scores.loss:.3f}",
        *([f"perplexity {scores.perplexity:.2f}"] if scores.unit == "token" else []),
        *(_shown(name, value) for name, value in scores.metrics.items()),
    ]


def old_scores(scores: HeldOutScores) -> dict[str, float]:
    """The scores on old data, as the log names them: `old_loss`, `old_bleu`."""
    old = scores.old
    if old is None:
        return {}
    values = {"loss": old.loss, "perplexity": old.perplexity, **old.metrics}
    return {f"old_{name}": value for name, value in values.items()}


def start_summary(run: Path, settings: TrainingConfig) -> str:
    """What a run that goes on from a model has won on new data and lost on old."""
    events = [event for event in read_log(run) if event["event"] == "evaluation"]
    kept = events[-1:] if settings.keep == "last" else [e for e in events if e["best"]][-1:]
    if not kept:
        return "no evaluation"
    first, last, name = events[0], kept[0], settings.metric
    decimals = 3 if name == "loss" else 1

    def change(key: str) -> str:
        return f"{first[key]:.{decimals}f} → {last[key]:.{decimals}f}"

    old = f", on the old data {change(f'old_{name}')}" if f"old_{name}" in last else ""
    return f"{name} {change(name)}{old} (before → after update {last['update']:,}, which is kept)"


def _tensorboard(run: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # the extra is not installed; the JSONL log has everything
        return None
    return SummaryWriter(str(run / "tensorboard"))


class Display:
    """Progress on stderr: a bar on a terminal, and a line per evaluation."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        if console.is_terminal:
            self._progress = Progress(
                TextColumn("update {task.fields[update]:,}"),
                BarColumn(),
                TextColumn("loss {task.fields[loss]:.3f}  {task.fields[speed]:,.0f} tokens/s"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
            self._task = self._progress.add_task("", total=None, update=0, loss=0.0, speed=0.0)
            self._progress.start()

    def advance(self, update: int, done: float | None, loss: float, speed: float) -> None:
        """Move the bar to the share that is done; None if the end is not known."""
        if self._progress is not None and self._task is not None:
            total = None if done is None else 1.0
            self._progress.update(
                self._task, total=total, completed=done or 0, update=update, loss=loss, speed=speed
            )

    def show_scores(
        self,
        update: int,
        seconds: float,
        train_loss: float | None,
        scores: HeldOutScores,
        *,
        best: bool,
    ) -> None:
        """Print one line of scores, one of those on old data, and example outputs."""
        parts = [
            f"update {update:,}",
            f"{seconds / 60:.1f} min",
            *([] if train_loss is None else [f"train loss {train_loss:.3f}"]),
            *_scores(scores),
            *(["best so far"] if best else []),
        ]
        self.print("  ".join(parts))
        if scores.old is not None:
            self.print("  ".join(["  on the old data:", *_scores(scores.old)]))
        for sample in scores.samples:
            self.print("\n".join(f"    {line}" for line in sample.split("\n")))

    def print(self, text: str) -> None:
        """Print plain text above the bar."""
        self._console.print(visible(text), markup=False)

    def close(self) -> None:
        """Remove the bar."""
        if self._progress is not None:
            self._progress.stop()
