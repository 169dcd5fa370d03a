"""Learning-rate schedules as functions of the update."""

from __future__ import annotations

import math

from penstock.config import TrainingConfig


def learning_rate(
    config: TrainingConfig, update: int, plateau_scale: float = 1.0, *, elapsed: float = 0.0
) -> float:
    """The rate of update `update` (from 0): linear warm-up, then the schedule.

    `cosine` falls to a hundredth of the rate at `max_updates` or at the end of the time, whichever
    is nearer; `inverse-sqrt` falls with the square root of the update from the end of the warm-up;
    `plateau` is scaled by the loop when evaluations stop improving.

    Args:
        config: rate and schedule.
        update: the number of updates made.
        plateau_scale: factor of schedule `plateau`.
        elapsed: the share of the time that has passed, 0 without a limit in minutes.
    """
    warmup = config.warmup_updates
    if update < warmup:
        return config.learning_rate * (update + 1) / warmup
    if config.schedule == "cosine":
        done = min(max((update - warmup) / max(config.max_updates - warmup, 1), elapsed), 1.0)
        scale = 0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2
    elif config.schedule == "inverse-sqrt":
        scale = math.sqrt(max(warmup, 1) / max(update, 1))
    elif config.schedule == "plateau":
        scale = plateau_scale
    else:
        scale = 1.0
    return config.learning_rate * scale
