"""Corpus scores: sacreBLEU's with their signature, and error rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib import import_module

from penstock.config import METRICS, tokenizer_entry
from penstock.errors import UsageError, nearest
from penstock.metrics.error_rates import Tokenize, require_aligned


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
        others: the scores of metrics that have no attribute above, by name.
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
    others: Mapping[str, float] = field(default_factory=dict[str, float], hash=False)

    def value(self, metric: str) -> float:
        """The score of a metric that was requested."""
        return self.others[metric] if metric in self.others else getattr(self, metric)


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
        metrics: any of `METRICS`.
        separator: text between the symbols of separator targets (phones); `per` needs it.

    Raises:
        UsageError: an unknown metric, or `per` without separator.
        DataError: no sentences, unequal numbers, a sentence without reference.
    """
    require_known(metrics, separator)
    require_aligned(hypotheses, references)
    tokenize = symbols_of(separator)
    scores: dict[str, float] = {}
    signatures: list[str] = []
    for name, entry in METRICS.items():
        if name not in metrics:
            continue
        function = getattr(import_module(entry.module), entry.function)
        options = {"tokenize": tokenize} if entry.over_symbols else {}
        found: float | tuple[float, str] = function(hypotheses, references, **options)
        if isinstance(found, tuple):
            scores[name], signature = found
            signatures.append(signature)
        else:
            scores[name] = found
    own = {field.name for field in fields(CorpusScores)}
    return CorpusScores(
        len(hypotheses),
        **{name: score for name, score in scores.items() if name in own},
        signature=" ".join(signatures) or None,
        others={name: score for name, score in scores.items() if name not in own},
    )


def require_known(metrics: Sequence[str], separator: str | None) -> None:
    """Check the names of metrics.

    Raises:
        UsageError: an unknown metric, or one that needs a separator.
    """
    for name in metrics:
        if name not in METRICS:
            raise UsageError(f"unknown metric {name!r}; {nearest(name, METRICS)}")
    for name in metrics:
        if METRICS[name].needs_separator and not separator:
            raise UsageError(
                f"metric {name!r} counts errors over separated tokens such as phones: it needs the "
                "separator of a target of kind 'separator'; over words use 'wer', over characters "
                "'cer'"
            )


def symbols_of(separator: str | None) -> Tokenize:
    """What divides a text into its symbols, at white space without separator."""
    if not separator:
        return str.split
    return lambda text: [token for token in text.split(separator) if token]
