"""sacreBLEU's scores, each with its signature."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

# sacreBLEU is imported late: it takes a tenth of a second


def bleu(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, str]:
    """BLEU, cased, tokenized by `13a`."""
    from sacrebleu.metrics.bleu import BLEU

    # `force`: no warning about texts that end in " .", which may be correct
    return _score(BLEU(force=True), hypotheses, references)


def chrf(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, str]:
    """chrF2."""
    from sacrebleu.metrics.chrf import CHRF

    return _score(CHRF(), hypotheses, references)


def ter(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, str]:
    """TER in percent."""
    from sacrebleu.metrics.ter import TER

    return _score(TER(), hypotheses, references)


def sentence_bleu(hypothesis: str, references: Sequence[str]) -> float:
    """BLEU of one sentence, without n-grams longer than it."""
    return float(_sentence_bleu().sentence_score(hypothesis, references).score)


def sentence_chrf(hypothesis: str, references: Sequence[str]) -> float:
    """chrF2 of one sentence."""
    return float(_sentence_chrf().sentence_score(hypothesis, references).score)


@cache
def _sentence_bleu() -> BLEU:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(effective_order=True)


@cache
def _sentence_chrf() -> CHRF:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()


def _score(
    metric: Metric, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[float, str]:
    # sacreBLEU's format: references by rank, None where a sentence has fewer
    streams = [list(stream) for stream in itertools.zip_longest(*references)]
    result = metric.corpus_score(hypotheses, streams)  # pyright: ignore[reportArgumentType]
    return float(result.score), f"{result.name}|{metric.get_signature().format()}"
