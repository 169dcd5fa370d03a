"""When to evaluate, which score is better, and when to stop."""

from __future__ import annotations

import math

from penstock.config import TrainingConfig, selection_metrics
from penstock.config.training_config import MOST_UPDATES
from penstock.training.checkpoint import Progress
from penstock.training.learner import HeldOutScores

_FIRST_MODEL = 40.0  # seconds of a run with a limit in minutes, after which there is a model


def limit_reached(settings: TrainingConfig, progress: Progress) -> str:
    """The configured limit that stops the run, empty if none."""
    if progress.update >= settings.max_updates:
        return f"training.max_updates = {settings.max_updates:,} reached"
    if settings.max_epochs is not None and progress.epoch >= settings.max_epochs:
        return f"training.max_epochs = {settings.max_epochs} reached"
    if settings.max_minutes is not None and time_elapsed(settings, progress) >= 1:
        return f"training.max_minutes = {settings.max_minutes:g} reached"
    return ""


def time_elapsed(settings: TrainingConfig, progress: Progress) -> float:
    """The share of `max_minutes` that has passed, 0 without that limit.

    Time for the last evaluation, as long as the latest one took, is set aside.
    """
    if settings.max_minutes is None:
        return 0.0
    return progress.seconds / max(60 * settings.max_minutes - progress.evaluation_seconds, 1e-9)


def share_done(settings: TrainingConfig, progress: Progress) -> float | None:
    """How much of the updates or of the time is used; None without a limit of either."""
    if settings.max_updates == MOST_UPDATES and settings.max_minutes is None:
        return None
    return max(progress.update / settings.max_updates, time_elapsed(settings, progress))


def evaluation_is_due(
    settings: TrainingConfig, progress: Progress, epoch_ended: bool, reason: str
) -> bool:
    """Whether to evaluate now; always before stopping for `reason`."""
    if not progress.loss_tokens:  # no updates since the last evaluation
        return False
    if reason:
        return True
    if settings.evaluate_every is None:
        return epoch_ended
    if not settings.evaluate_growth:
        return progress.update % settings.evaluate_every == 0
    if settings.max_minutes is not None:  # the clock counts: evaluations take a tenth of it at most
        if progress.seconds < progress.evaluated_at + 10 * progress.evaluation_seconds:
            return False
        if not progress.evaluated and progress.seconds >= _FIRST_MODEL:
            return True
    interval = max(settings.evaluate_every, settings.evaluate_growth * progress.evaluated)
    return progress.update - progress.evaluated >= interval


def update_best(settings: TrainingConfig, progress: Progress, scores: HeldOutScores) -> bool:
    """Update best score, patience and plateau; return whether this is the best so far.

    Of equal scores the one with the lower loss is better, but patience wears out at 100 %.
    """
    value = scores.value(settings.metric)
    sign = 1 if selection_metrics()[settings.metric] else -1
    lowest = math.inf if progress.best_loss is None else progress.best_loss
    better = progress.best is None or (sign * value, -scores.loss) > (sign * progress.best, -lowest)
    perfect = sign > 0 and value >= 100 and value == progress.best
    progress.worse = 0 if better and not perfect else progress.worse + 1
    if better:
        progress.best, progress.best_loss = value, scores.loss
        progress.best_update = progress.update
        return True
    if settings.schedule == "plateau" and progress.worse % settings.plateau_patience == 0:
        progress.plateau_scale *= settings.plateau_factor
    return False


def patience_exhausted(settings: TrainingConfig, progress: Progress) -> str:
    """The reason to stop early, empty while there is patience left."""
    if settings.patience is not None and progress.worse >= settings.patience:
        return (
            f"no better {settings.metric} in {settings.patience} evaluations "
            f"(best {progress.best:.3f} at update {progress.best_update:,})"
        )
    return ""
