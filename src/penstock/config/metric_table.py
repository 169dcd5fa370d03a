"""The corpus metrics by name, without the packages that compute them."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.errors import unknown_name

_SACREBLEU = "penstock.metrics.sacrebleu_scores"
_RATES = "penstock.metrics.error_rates"


@dataclass(frozen=True, slots=True)
class MetricEntry:
    """One line of the table.

    Attributes:
        label: what its values are printed under; it ends in "%" if they are percentages.
        module: defines `function`; imported when the metric is computed.
        function: of hypotheses and, for each, its references; returns a score, or a score and the
            signature of how it was computed.
        higher_is_better: whether a model with more of it is better.
        may_select: whether `training.metric` may name it.
        over_symbols: `function` also takes `tokenize`, which divides separator targets (phones)
            into their symbols, and other texts at white space.
        needs_separator: it is defined for separator targets only.
        counts: like `function`, but returns two numbers for each sentence, whose sums' ratio in
            percent is the score, so that models can be compared on resampled sentences.
    """

    label: str
    module: str
    function: str
    higher_is_better: bool = True
    may_select: bool = False
    over_symbols: bool = False
    needs_separator: bool = False
    counts: str = ""


METRICS: dict[str, MetricEntry] = {
    "bleu": MetricEntry("BLEU", _SACREBLEU, "bleu", may_select=True),
    "chrf": MetricEntry("chrF", _SACREBLEU, "chrf", may_select=True),
    "ter": MetricEntry("TER", _SACREBLEU, "ter", higher_is_better=False),
    "exact_match": MetricEntry(
        "exact %", _RATES, "exact_match", may_select=True, counts="exact_matches"
    ),
    "ser": MetricEntry(
        "SER %", _RATES, "sequence_error_rate", higher_is_better=False, over_symbols=True,
        counts="sequence_errors",
    ),
    "wer": MetricEntry(
        "WER %", _RATES, "token_error_rate", higher_is_better=False, counts="token_errors"
    ),
    "per": MetricEntry(
        "PER %", _RATES, "token_error_rate", higher_is_better=False, over_symbols=True,
        needs_separator=True, counts="token_errors",
    ),
    "cer": MetricEntry(
        "CER %", _RATES, "character_error_rate", higher_is_better=False, counts="character_errors"
    ),
}  # fmt: skip


def labelled(label: str, value: float, *, decimals: int) -> str:
    """A value after its label: "exact %" and 12.5 make `exact 12.5%`."""
    percent = "%" if label.endswith("%") else ""
    return f"{label.removesuffix('%').rstrip()} {value:.{decimals}f}{percent}"


def selection_metrics() -> dict[str, bool]:
    """What may select a model, and whether higher is better."""
    return {"loss": False, **corpus_selection_metrics(), "accuracy": True, "f1": True}


def corpus_selection_metrics() -> dict[str, bool]:
    """The corpus metrics that may select a model, and whether higher is better."""
    return {name: entry.higher_is_better for name, entry in METRICS.items() if entry.may_select}


def check_selection_metric(name: str) -> None:
    """Raise a ValueError unless a model may be selected by a metric."""
    known = selection_metrics()
    if name in METRICS and name not in known:
        raise ValueError(f"metric {name!r} selects no model; use one of {', '.join(known)}")
    if name not in known:
        raise ValueError(unknown_name("metric", name, known))
