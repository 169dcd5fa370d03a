"""Which of several scores is the best, when to evaluate, when the time is over."""

from __future__ import annotations

import pytest

from penstock.config import TrainingConfig
from penstock.config.training_config import MOST_UPDATES
from penstock.training.checkpoint import Progress
from penstock.training.learner import HeldOutScores
from penstock.training.schedule import learning_rate
from penstock.training.stop_criteria import (
    evaluation_is_due,
    limit_reached,
    share_done,
    time_elapsed,
    update_best,
)


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


def test_nothing_is_better_than_all_right() -> None:
    settings, progress = TrainingConfig(metric="exact_match"), Progress()
    better = [
        update_best(settings, progress, HeldOutScores(loss, {"exact_match": 100.0}))
        for loss in (3.0, 2.0, 1.0)
    ]
    assert better == [True, True, True]  # the lowest loss is kept
    assert progress.worse == 2


def test_by_loss_a_tie_is_not_better() -> None:
    settings, progress = TrainingConfig(metric="loss"), Progress()
    assert update_best(settings, progress, HeldOutScores(2.0))
    assert not update_best(settings, progress, HeldOutScores(2.0))


def test_the_rate_falls_with_the_time_that_has_passed() -> None:
    settings = TrainingConfig(max_minutes=2.0, learning_rate=1.0, warmup_updates=0)
    rates = [
        learning_rate(
            settings,
            100,
            elapsed=time_elapsed(settings, Progress(seconds=s, evaluation_seconds=20)),
        )
        for s in (0, 50, 100)
    ]
    # half of what is left of 120 s without the last evaluation's 20
    assert rates == pytest.approx([1.0, 0.505, 0.01], abs=1e-4)


def test_the_nearer_of_two_ends_counts() -> None:
    settings = TrainingConfig(max_minutes=1.0, max_updates=100)
    assert share_done(settings, Progress(update=50, seconds=6)) == 0.5
    assert share_done(settings, Progress(update=1, seconds=45)) == 0.75
    assert share_done(TrainingConfig(max_updates=MOST_UPDATES), Progress(update=5)) is None


def test_time_is_set_aside_for_the_last_evaluation() -> None:
    settings = TrainingConfig(max_minutes=1.0)
    assert limit_reached(settings, Progress(seconds=49, evaluation_seconds=10)) == ""
    assert "max_minutes" in limit_reached(settings, Progress(seconds=50, evaluation_seconds=10))


def evaluations(settings: TrainingConfig, seconds_per_update: float = 0.0) -> list[int]:
    """The updates at which evaluations of a second are made, in the first thousand."""
    progress, found = Progress(loss_tokens=1), list[int]()
    for progress.update in range(1, 1001):
        progress.seconds += seconds_per_update
        if evaluation_is_due(settings, progress, epoch_ended=False, reason=""):
            found.append(progress.update)
            progress.evaluated, progress.evaluated_at = progress.update, progress.seconds
            progress.evaluation_seconds = 1.0
    return found


def test_evaluations_become_rarer() -> None:
    assert evaluations(TrainingConfig(evaluate_every=300)) == [300, 600, 900]
    growing = evaluations(TrainingConfig(evaluate_every=100, evaluate_growth=0.5))
    assert growing == [100, 200, 300, 450, 675]


def test_evaluations_take_a_tenth_of_limited_time_at_most() -> None:
    limited = TrainingConfig(evaluate_every=100, evaluate_growth=0.01, max_minutes=10.0)
    assert evaluations(limited, seconds_per_update=0.05)[:3] == [100, 300, 500]
    assert evaluations(limited, seconds_per_update=0.3)[:3] == [100, 200, 300]


def test_limited_time_gives_a_model_within_a_minute() -> None:
    limited = TrainingConfig(evaluate_every=100, evaluate_growth=0.01, max_minutes=10.0)
    assert evaluations(limited, seconds_per_update=2.0)[:2] == [20, 120]
