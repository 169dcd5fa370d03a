"""Metrics: the chapter's sentence BLEU, and scores of a corpus."""

from penstock.metrics.bleu import bleu, ngram_precisions
from penstock.metrics.corpus_scores import (
    CorpusScores,
    metrics_for,
    score_corpus,
)
from penstock.metrics.error_rates import (
    edit_distance,
    exact_match,
    sequence_error_rate,
    token_error_rate,
)

__all__ = [
    "CorpusScores",
    "bleu",
    "edit_distance",
    "exact_match",
    "metrics_for",
    "ngram_precisions",
    "score_corpus",
    "sequence_error_rate",
    "token_error_rate",
]
