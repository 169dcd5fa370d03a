"""Is one system better than another: confidence intervals and paired bootstrap resampling.

Koehn 2004, https://aclanthology.org/W04-3250: systems are scored on the same resampled sentences,
a thousand times. For its own metrics sacreBLEU does it; for rates the same is done here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penstock.config import METRICS
from penstock.errors import UsageError
from penstock.metrics.corpus_scores import require_known, symbols_of
from penstock.metrics.error_rates import require_aligned

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

RESAMPLES = 1000
_SEED = 12345  # sacreBLEU's
_SACREBLEU = {"bleu": "BLEU", "chrf": "CHRF", "ter": "TER"}

Counts = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class SystemScore:
    """One system's score among others.

    Attributes:
        score: on all sentences.
        interval: half the width of its 95 % confidence interval.
        p_value: how likely so large a difference from the first system is by chance; None for the
            first.
    """

    score: float
    interval: float
    p_value: float | None


@dataclass(frozen=True, slots=True)
class SystemScores:
    """Several systems' scores.

    Attributes:
        by_metric: a score for each system, in their order.
        signature: sacreBLEU's, of its metrics; empty without them.
    """

    by_metric: Mapping[str, Sequence[SystemScore]]
    signature: str = ""


def compare_systems(
    systems: Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
    metrics: Sequence[str],
    *,
    separator: str | None = None,
) -> SystemScores:
    """Score several systems' outputs for the same sentences.

    Args:
        systems: the outputs of each; the others are compared with the first.
        references: at least one per sentence.
        metrics: any of `METRICS` that can be computed on resampled sentences.
        separator: see `score_corpus`.

    Raises:
        UsageError: an unknown metric, or one that cannot be resampled.
        DataError: see `score_corpus`.
    """
    require_known(metrics, separator)
    for name in metrics:
        if name not in _SACREBLEU and not METRICS[name].counts:
            raise UsageError(f"metric {name!r} cannot be computed on resampled sentences")
    for hypotheses in systems:
        require_aligned(hypotheses, references)
    found: dict[str, Sequence[SystemScore]] = {}
    signatures: list[str] = []
    for name in metrics:
        entry = METRICS[name]
        if name in _SACREBLEU:
            found[name], signature = _by_sacrebleu(name, systems, references)
            signatures.append(signature)
            continue
        count = getattr(import_module(entry.module), entry.counts)
        options = {"tokenize": symbols_of(separator)} if entry.over_symbols else {}
        found[name] = compare_rates([count(own, references, **options) for own in systems])
    return SystemScores(found, " ".join(signatures))


def compare_rates(systems: Sequence[Counts]) -> list[SystemScore]:
    """Compare rates, each 100 times the sum of first numbers over the sum of second numbers.

    Args:
        systems: two numbers for each sentence, of each system.
    """
    size = len(systems[0])
    draws = np.random.default_rng(_SEED).multinomial(size, [1 / size] * size, RESAMPLES)
    scores: list[SystemScore] = []
    first: tuple[float, NDArray[np.float64]] | None = None
    for counts in systems:
        both = np.array(counts, np.float64)
        score = _rate(both.sum(0))
        resampled = _rate((draws @ both).T)
        ordered = np.sort(resampled)
        cut = RESAMPLES // 40
        interval = float(ordered[-cut - 1] - ordered[cut]) / 2
        p_value = None
        if first is None:
            first = score, resampled
        else:
            by_chance = np.abs(resampled - first[1])
            by_chance -= by_chance.mean()
            larger = int((by_chance >= abs(score - first[0])).sum())
            p_value = (larger + 1) / (RESAMPLES + 1)
        scores.append(SystemScore(float(score), interval, p_value))
    return scores


def _rate(sums: NDArray[np.float64]) -> Any:
    return 100 * sums[0] / np.maximum(sums[1], 1)


def _by_sacrebleu(
    name: str, systems: Sequence[Sequence[str]], references: Sequence[Sequence[str]]
) -> tuple[list[SystemScore], str]:
    from sacrebleu import metrics
    from sacrebleu.significance import PairedTest

    own = _SACREBLEU[name]
    metric: Metric = getattr(metrics, own)(**({"force": True} if name == "bleu" else {}))
    streams: Any = [list(stream) for stream in zip_longest(*references)]
    named: list[tuple[str, Sequence[str]]] = [(f"{i}", own) for i, own in enumerate(systems)]
    test = PairedTest(named, {own: metric}, streams, test_type="bs", n_samples=RESAMPLES)
    signatures, results = test()
    ((shown, signature),) = signatures.items()
    scores: list[SystemScore] = []
    for outputs, result in zip(systems, results[shown], strict=True):
        found: Any = result
        # sacreBLEU calls the difference of a system from itself significant
        p_value = 1.0 if scores and outputs == systems[0] else found.p_value
        scores.append(SystemScore(float(found.score), float(found.ci), p_value))
    return scores, f"{shown}|{signature.format()}"
