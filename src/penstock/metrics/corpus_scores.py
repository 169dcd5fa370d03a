"""Scores of a corpus: sacreBLEU's, with signature, and error rates."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.errors import UsageError
from penstock.metrics.error_rates import (
    Tokenize,
    exact_match,
    require_aligned,
    sequence_error_rate,
    token_error_rate,
)

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

CORPUS_METRICS = ("bleu", "chrf", "ter", "exact_match", "wer", "per")


@dataclass(frozen=True)
class CorpusScores:
    """What `score_corpus` found; a metric that was not asked for is None.

    Attributes:
        bleu: sacreBLEU's BLEU, cased, tokenized by `13a`, 0 to 100.
        chrf: sacreBLEU's chrF2, 0 to 100.
        ter: sacreBLEU's TER in percent; may exceed 100.
        exact_match: percentage of sentences equal to any reference, white space aside.
        wer: token error rate over words in percent; for separator targets the percentage of
            sequences not exactly right (g2p's WER).
        per: token error rate over separator-divided tokens in percent (phone error rate).
        sentences: how many were scored.
        signature: how sacreBLEU computed its scores, `BLEU|nrefs:1|case:mixed|...`, one for each
            asked and a space between; None where none was asked.
    """

    sentences: int
    bleu: float | None = None
    chrf: float | None = None
    ter: float | None = None
    exact_match: float | None = None
    wer: float | None = None
    per: float | None = None
    signature: str | None = None


def score_corpus(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    metrics: Sequence[str] = ("bleu", "chrf", "exact_match", "wer"),
    *,
    separator: str | None = None,
) -> CorpusScores:
    """Score hypotheses against one or more references each; numbers of references may differ.

    Args:
        hypotheses: one a sentence, in plain (detokenized) text; empty ones count.
        references: for each sentence its references, at least one.
        metrics: any of `bleu`, `chrf`, `ter`, `exact_match`, `wer`, `per`.
        separator: what divides the tokens of separator targets (phones). It gives `wer` its
            meaning in g2p, and `per` needs it.

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
    if "wer" in metrics and not separator:
        scores["wer"] = token_error_rate(hypotheses, references)
    elif "wer" in metrics and separator:
        scores["wer"] = sequence_error_rate(hypotheses, references, tokenize=_divide_by(separator))
    if "per" in metrics and separator:
        scores["per"] = token_error_rate(hypotheses, references, tokenize=_divide_by(separator))
    return CorpusScores(len(hypotheses), **scores, signature=" ".join(signatures) or None)


def _require_known(metrics: Sequence[str], separator: str | None) -> None:
    for name in metrics:
        if name not in CORPUS_METRICS:
            close = difflib.get_close_matches(name, CORPUS_METRICS, n=1)
            remedy = (
                f"did you mean {close[0]!r}?" if close else f"known: {', '.join(CORPUS_METRICS)}"
            )
            raise UsageError(f"unknown metric {name!r}; {remedy}")
    if not separator and "per" in metrics:
        raise UsageError(
            "metric 'per' counts errors over separated tokens such as phones: it needs the "
            "separator of a target of kind 'separator'; over words use 'wer'"
        )


def _sacrebleu_metrics(names: Sequence[str]) -> dict[str, Metric]:
    # imported late: a tenth of a second that most commands need not spend
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    # `force`: text that ends in " ." is no mistake in a language or a task that writes so
    metrics: dict[str, Metric] = {"bleu": BLEU(force=True), "chrf": CHRF(), "ter": TER()}
    return {name: metric for name, metric in metrics.items() if name in names}


def _streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """References by rank, as sacreBLEU wants them; None where a sentence has fewer."""
    return [list(stream) for stream in itertools.zip_longest(*references)]


def _divide_by(separator: str) -> Tokenize:
    return lambda text: [token for token in text.split(separator) if token]
