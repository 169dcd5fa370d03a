"""How finished outputs are ranked: log-probability, length, coverage; and bounds on the score.

| `normalization` | score of log-probability p and length L, EOS counted |
|---|---|
| `none` | p |
| `average` | p / L |
| `book` | p / L^α (d2l.ai, 'Beam Search') |
| `gnmt` | p / ((5 + L) / 6)^α (Wu et al. 2016, https://arxiv.org/abs/1609.08144) |

`length_reward`·L and `coverage_penalty`·Σ log min(attention received, 1) over the source positions
(Wu et al.; never above 0) are added. Further tokens can only lower a log-probability, so the best
score that a partial hypothesis can still reach has a bound: `bounds`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

import numpy as np

from penstock.config.option_model import Normalization
from penstock.errors import UsageError
from penstock.search.step import Floats, Ints, Singles

_LEAST_COVERED = 1e-6  # a position without any attention must not cost infinitely much


@dataclass(frozen=True, slots=True)
class Ranking:
    """A rule for the score of a finished output.

    Attributes:
        normalization: see the table above.
        alpha: of `book` and `gnmt`; 0 is no normalisation.
        length_reward: added for every token, EOS counted; below 0 it prefers short outputs.
        coverage_penalty: weight of source positions left unread; needs attention.

    Raises:
        UsageError: an impossible value.
    """

    normalization: Normalization = "book"
    alpha: float = 1.0
    length_reward: float = 0.0
    coverage_penalty: float = 0.0

    def __post_init__(self) -> None:
        known = get_args(Normalization)
        if self.normalization not in known:
            raise UsageError(
                f"normalization {self.normalization!r}: choose one of {', '.join(known)}"
            )
        if not 0 <= self.alpha < math.inf:
            raise UsageError(f"length_penalty {self.alpha}: must be a number of at least 0")
        if not math.isfinite(self.length_reward):
            raise UsageError(f"length_reward {self.length_reward}: must be a finite number")
        if not 0 <= self.coverage_penalty < math.inf:
            raise UsageError(
                f"coverage_penalty {self.coverage_penalty}: must be a number of at least 0"
            )

    def divisor(self, length: int) -> float:
        """The number that the log-probability of `length` tokens, EOS counted, is divided by."""
        if self.normalization == "none":
            return 1.0
        if self.normalization == "average":
            return float(max(length, 1))
        if self.normalization == "book":
            return max(length, 1) ** self.alpha
        return ((5 + length) / 6) ** self.alpha

    def score(self, log_probability: float, length: int, coverage: float = 0.0) -> float:
        """Of one finished output; `coverage` as `covered` gives it."""
        plain = log_probability / self.divisor(length) + self.length_reward * length
        return plain + self.coverage_penalty * coverage

    def scores(self, log_probabilities: Floats, length: int) -> Floats:
        """`score` of many outputs of one length, coverage left out."""
        return log_probabilities / self.divisor(length) + self.length_reward * length

    def bounds(self, log_probabilities: Floats, length: int, max_lengths: Ints) -> Floats:
        """The best scores that partial hypotheses can still reach, whatever follows.

        Args:
            log_probabilities: (n,) so far.
            length: their tokens so far, without EOS.
            max_lengths: (n,) the most tokens each may have, EOS not counted.
        """
        longest = int(max_lengths.max(initial=length))
        if self.length_reward == 0:  # then the longest is the best: dividing only raises it
            return log_probabilities / _divisors(self, longest)[max_lengths]
        best = self.scores(log_probabilities, length + 1)
        for n in range(length + 1, longest + 1):
            reached = np.where(n <= max_lengths, self.scores(log_probabilities, n + 1), -np.inf)
            best = np.maximum(best, reached)
        return best


PLAIN = Ranking("none")


def covered(attention: Singles, source_length: int) -> float:
    """Σ log min(attention received, 1) over source positions; `attention` is (T, S)."""
    received = attention[:, :source_length].astype(np.float64).sum(0)
    return float(np.log(received.clip(_LEAST_COVERED, 1)).sum())


@lru_cache(maxsize=32)
def _divisors(ranking: Ranking, longest: int) -> Floats:
    """Of outputs of 0 … `longest` tokens, EOS not counted."""
    return np.array([ranking.divisor(length + 1) for length in range(longest + 1)])
