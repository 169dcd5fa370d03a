"""`penstock plot`: the curves of runs, whatever their task."""

from pathlib import Path

import pytest

from penstock.config import METRICS
from penstock.errors import DataError
from penstock.insight.training_curves import draw_curves
from penstock.tasks import TASKS
from penstock.training.progress import RunLog

pytest.importorskip("matplotlib")

LABELS = {
    "translation": "BLEU (greedy)",
    "language-model": "accuracy (%)",
    "classification": "accuracy (%)",
    "cloze": "accuracy (%)",
}


def log_of(run: Path, *metrics: str) -> Path:
    run.mkdir()
    log = RunLog(run)
    for update in (1, 2):
        scores = dict.fromkeys(metrics, 10.0 * update)
        log.write(
            "evaluation", update, seconds=60.0 * update, train_loss=3.0, **{"loss": 2.0, **scores}
        )
    log.close()
    return run


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_its_metric_drawn(task: str, tmp_path: Path) -> None:
    metrics = (*TASKS[task].metrics, *(METRICS if TASKS[task].corpus_metrics else ()))
    run, out = log_of(tmp_path / "run", *metrics), tmp_path / "curves.svg"
    draw_curves([run], out)
    drawn = out.read_text()
    assert "held-out loss" in drawn
    assert [label for label in sorted(set(LABELS.values())) if label in drawn] == [LABELS[task]]


def test_runs_of_different_tasks_share_the_losses(tmp_path: Path) -> None:
    runs = [log_of(tmp_path / "words", "bleu"), log_of(tmp_path / "letters", "accuracy")]
    draw_curves(runs, tmp_path / "curves.svg")
    drawn = (tmp_path / "curves.svg").read_text()
    assert all(text in drawn for text in ("held-out loss", *LABELS.values(), "words", "letters"))


def test_a_run_without_a_metric_has_its_losses(tmp_path: Path) -> None:
    draw_curves([log_of(tmp_path / "run")], tmp_path / "curves.svg")
    assert "held-out loss" in (tmp_path / "curves.svg").read_text()


def test_a_run_without_an_evaluation(tmp_path: Path) -> None:
    RunLog(tmp_path).write("start", 0)
    with pytest.raises(DataError, match=r"no evaluation in log\.jsonl yet"):
        draw_curves([tmp_path], tmp_path / "curves.svg")
