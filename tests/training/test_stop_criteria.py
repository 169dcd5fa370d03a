"""Which of several scores is the best."""

from __future__ import annotations

from penstock.config import TrainingConfig
from penstock.training.checkpoint import Progress
from penstock.training.learner import HeldOutScores
from penstock.training.stop_criteria import update_best


def test_of_equal_scores_the_lower_loss_is_better() -> None:
    settings, progress = TrainingConfig(metric="exact_match"), Progress()
    losses = [3.0, 2.5, 2.7, 2.5]
    better = [
        update_best(settings, progress, HeldOutScores(loss, {"exact_match": 0.0}))
        for loss in losses
    ]
    assert better == [True, True, False, False]
    assert (progress.best, progress.best_loss, progress.worse) == (0.0, 2.5, 2)
    assert update_best(settings, progress, HeldOutScores(9.0, {"exact_match": 1.0}))
    assert not update_best(settings, progress, HeldOutScores(0.1, {"exact_match": 0.5}))


def test_by_loss_a_tie_is_not_better() -> None:
    settings, progress = TrainingConfig(metric="loss"), Progress()
    assert update_best(settings, progress, HeldOutScores(2.0))
    assert not update_best(settings, progress, HeldOutScores(2.0))
