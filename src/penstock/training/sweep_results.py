"""What came of a sweep: runs, their scores, and mean and spread over the seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from penstock.config import selection_metrics


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep.

    Attributes:
        path: the run directory.
        seed: its seed.
        scores: held-out scores of the model that it kept; empty if it failed.
        minutes: of training.
        failure: why it failed; empty if it did not.
    """

    path: Path
    seed: int
    scores: Mapping[str, Any]
    minutes: float = 0.0
    failure: str = ""


@dataclass(frozen=True)
class SweepRow:
    """The runs of one combination of settings.

    Attributes:
        settings: the keys that vary, with their values.
        runs: one per seed.
        metric: the held-out score that is compared, `training.metric`.
    """

    settings: Mapping[str, Any]
    runs: list[SweepRun]
    metric: str

    @property
    def values(self) -> list[float]:
        """The score of each run that did not fail."""
        return [float(run.scores[self.metric]) for run in self.runs if not run.failure]

    @property
    def mean(self) -> float | None:
        """The mean score; None if all runs failed."""
        return statistics.fmean(self.values) if self.values else None

    @property
    def spread(self) -> float | None:
        """The standard deviation over the seeds, of the sample; None below two runs."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Sweep:
    """What came of a sweep.

    Attributes:
        path: the folder of its runs.
        rows: the combinations, best mean first, failed ones last.
        metric: the held-out score that is compared, `training.metric`.
    """

    path: Path
    rows: list[SweepRow]
    metric: str

    @classmethod
    def of(cls, path: Path, rows: list[SweepRow]) -> Self:
        """The result of some rows, which are ranked."""
        metric = next((row.metric for row in rows if row.values), rows[0].metric)
        sign = -1 if selection_metrics()[metric] else 1
        ranked = sorted(rows, key=lambda row: (row.mean is None, sign * (row.mean or 0.0)))
        return cls(path, ranked, metric)

    @property
    def best(self) -> SweepRow:
        """The combination with the best mean."""
        return self.rows[0]

    @property
    def failures(self) -> list[SweepRun]:
        """The runs that failed."""
        return [run for row in self.rows for run in row.runs if run.failure]
