"""What an attack is, and what comes of it.

An attack is a generator that tries one thing after another, without end, and yields a `Trial` for
each. All its choices come from the `Random` that it is given, so a seed repeats them. What it
starts it stops in a `finally`, which runs when its time is over.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

HANG_SECONDS = 15


@dataclass(frozen=True)
class Trial:
    """One thing tried.

    Attributes:
        what: enough to try it again, in one line.
        broke: what went wrong; empty if it held.
    """

    what: str
    broke: str = ""


# a scratch folder of its own, and its source of choices
Attack = Callable[[Path, Random], Generator[Trial]]


@dataclass
class Tally:
    """How one attack ended.

    Attributes:
        tried: number of trials.
        broke: the trials that broke something.
    """

    tried: int = 0
    broke: list[Trial] = field(default_factory=list)

    @classmethod
    def sum(cls, several: Iterable[Tally]) -> Tally:
        """All trials of several."""
        total = cls()
        for each in several:
            total.tried += each.tried
            total.broke += each.broke
        return total

    def add(self, trial: Trial) -> None:
        """Count a trial."""
        self.tried += 1
        if trial.broke:
            self.broke.append(trial)

    @property
    def held(self) -> int:
        """Number of trials that broke nothing."""
        return self.tried - len(self.broke)
