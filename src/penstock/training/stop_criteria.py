"""When to evaluate, which score is better, and when to stop."""

from __future__ import annotations

import math

from penstock.config import TrainingConfig, selection_metrics
from penstock.training.checkpoint import Progress
from penstock.training.learner import HeldOutScores


def limit_reached(settings: TrainingConfig, progress: Progress) -> str:
    """The configured limit that stops the run, empty if none."""
    if progress.update >= settings.max_updates:
        return f"training.max_updates = {settings.max_updates:,} reached"
    if settings.max_epochs is not None and progress.epoch >= settings.max_epochs:
        return f"training.max_epochs = {settings.max_epochs} reached"
    if settings.max_minutes is not None and progress.seconds >= 60 * settings.max_minutes:
        return f"training.max_minutes = {settings.max_minutes:g} reached"
    return ""


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
    return progress.update % settings.evaluate_every == 0


def update_best(settings: TrainingConfig, progress: Progress, scores: HeldOutScores) -> bool:
    """Update best score, patience and plateau; return whether this is the best so far.

    Of equal scores the one with the lower loss is better.
    """
    value = scores.value(settings.metric)
    sign = 1 if selection_metrics()[settings.metric] else -1
    lowest = math.inf if progress.best_loss is None else progress.best_loss
    better = progress.best is None or (sign * value, -scores.loss) > (sign * progress.best, -lowest)
    if better:
        progress.best, progress.best_loss = value, scores.loss
        progress.best_update, progress.worse = progress.update, 0
        return True
    progress.worse += 1
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
