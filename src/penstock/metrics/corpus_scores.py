"""Corpus scores: sacreBLEU's with their signature, and error rates."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.config import tokenizer_entry
from penstock.errors import UsageError, nearest
from penstock.metrics.error_rates import (
    Tokenize,
    exact_match,
    require_aligned,
    sequence_error_rate,
    token_error_rate,
)

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

CORPUS_METRICS = ("bleu", "chrf", "ter", "exact_match", "ser", "wer", "per", "cer")


@dataclass(frozen=True)
class CorpusScores:
    """The result of `score_corpus`; metrics that were not requested are None.

    Attributes:
        bleu: sacreBLEU's BLEU, cased, tokenized by `13a`, 0 to 100.
        chrf: sacreBLEU's chrF2, 0 to 100.
        ter: sacreBLEU's TER in percent; may exceed 100.
        exact_match: percentage of sentences equal to any reference, ignoring white space.
        ser: percentage of sentences that equal no reference (sequence error rate).
        wer: edits per word in percent (word error rate); words are split at white space.
        per: edits per separated symbol in percent (phone error rate).
        cer: edits per character in percent (character error rate), white space as in `exact_match`.
        sentences: number of sentences.
        signature: sacreBLEU's signatures, `BLEU|nrefs:1|case:mixed|...`, joined by spaces; None
            without sacreBLEU metrics.
    """

    sentences: int
    bleu: float | None = None
    chrf: float | None = None
    ter: float | None = None
    exact_match: float | None = None
    ser: float | None = None
    wer: float | None = None
    per: float | None = None
    cer: float | None = None
    signature: str | None = None


def metrics_for(kind: str) -> tuple[str, ...]:
    """The default metrics for a kind of tokenizer: text metrics and its error rates."""
    return ("bleu", "chrf", "exact_match", "ser", *tokenizer_entry(kind).error_rates)


def score_corpus(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    metrics: Sequence[str] = ("bleu", "chrf", "exact_match", "ser", "wer"),
    *,
    separator: str | None = None,
) -> CorpusScores:
    """Score hypotheses against one or more references each.

    Args:
        hypotheses: one per sentence, in plain (detokenized) text; empty ones count.
        references: at least one per sentence; their number may vary.
        metrics: any of `CORPUS_METRICS`.
        separator: text between the symbols of separator targets (phones); `per` needs it.

    Raises:
        UsageError: an unknown metric, or `per` without separator.
        DataError: no sentences, unequal numbers, a sentence without reference.
    """
    _require_known(metrics, separator)
    require_aligned(hypotheses, references)
    scores: dict[str, float] = {}
    signatures: list[str] = []
    for name, metric in _sacrebleu_metrics(metrics).items():
        streams = _streams(references)
        result = metric.corpus_score(hypotheses, streams)  # pyright: ignore[reportArgumentType]
        scores[name] = float(result.score)
        signatures.append(f"{result.name}|{metric.get_signature().format()}")
    if "exact_match" in metrics:
        scores["exact_match"] = exact_match(hypotheses, references)
    symbols = _divide_by(separator) if separator else str.split
    if "ser" in metrics:
        scores["ser"] = sequence_error_rate(hypotheses, references, tokenize=symbols)
    for name, tokenize in {"wer": str.split, "per": symbols, "cer": _characters}.items():
        if name in metrics:
            scores[name] = token_error_rate(hypotheses, references, tokenize=tokenize)
    return CorpusScores(len(hypotheses), **scores, signature=" ".join(signatures) or None)


def _require_known(metrics: Sequence[str], separator: str | None) -> None:
    for name in metrics:
        if name not in CORPUS_METRICS:
            raise UsageError(f"unknown metric {name!r}; {nearest(name, CORPUS_METRICS)}")
    if not separator and "per" in metrics:
        raise UsageError(
            "metric 'per' counts errors over separated tokens such as phones: it needs the "
            "separator of a target of kind 'separator'; over words use 'wer', over characters 'cer'"
        )


def _sacrebleu_metrics(names: Sequence[str]) -> dict[str, Metric]:
    # late: takes a tenth of a second
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    # `force`: no warning about texts that end in " .", which may be correct
    metrics: dict[str, Metric] = {"bleu": BLEU(force=True), "chrf": CHRF(), "ter": TER()}
    return {name: metric for name, metric in metrics.items() if name in names}


def _streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """References by rank, sacreBLEU's format; None where a sentence has fewer."""
    return [list(stream) for stream in itertools.zip_longest(*references)]


def _characters(text: str) -> str:
    return " ".join(text.split())


def _divide_by(separator: str) -> Tokenize:
    return lambda text: [token for token in text.split(separator) if token]
