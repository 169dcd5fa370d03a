"""Minimum Bayes risk: the candidate that agrees most with the others.

Candidates are samples of the model; the best one has the highest expected utility over all of them
(Kumar and Byrne 2004,
https://aclanthology.org/N04-1022; Eikema and Aziz 2020, https://aclanthology.org/2020.coling-main.398).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from penstock.config.option_model import Utility
from penstock.metrics.sacrebleu_scores import sentence_bleu

_ORDERS = 6  # of chrF's character n-grams
_BETA_SQUARED = 4.0  # chrF2: recall counts twice


def expected_utilities(
    candidates: Sequence[str],
    utility: Utility = "chrf",
    *,
    before_each: Callable[[], None] = lambda: None,
) -> list[float]:
    """The mean utility (0 to 100) of each candidate against all, itself included.

    Args:
        candidates: repeated ones count repeatedly.
        utility: chrF or BLEU.
        before_each: called before each candidate; may raise to cancel.
    """
    counts = Counter(candidates)
    different = list(counts)
    measure = _chrf_of(different) if utility == "chrf" else _bleu_of(different)
    total = len(candidates)
    mean: dict[str, float] = {}
    for i, text in enumerate(different):
        before_each()
        agreed = sum(counts[other] * measure(i, j) for j, other in enumerate(different))
        mean[text] = agreed / total
    return [mean[text] for text in candidates]


def _chrf_of(texts: Sequence[str]) -> Callable[[int, int], float]:
    """sacreBLEU's sentence chrF2 of text i against text j; n-grams are counted once per text."""
    grams = [[_ngrams("".join(text.split()), n) for n in range(1, _ORDERS + 1)] for text in texts]

    def measure(i: int, j: int) -> float:
        precisions: list[float] = []
        recalls: list[float] = []
        for ours, theirs in zip(grams[i], grams[j], strict=True):
            if ours and theirs:  # skip orders longer than either text
                matches = (ours & theirs).total()
                precisions.append(matches / ours.total())
                recalls.append(matches / theirs.total())
        precision = sum(precisions) / max(len(precisions), 1)
        recall = sum(recalls) / max(len(recalls), 1)
        if precision + recall == 0:
            return 100.0 if i == j else 0.0
        both = (1 + _BETA_SQUARED) * precision * recall
        return 100 * both / (_BETA_SQUARED * precision + recall)

    return measure


def _bleu_of(texts: Sequence[str]) -> Callable[[int, int], float]:
    return lambda i, j: sentence_bleu(texts[i], [texts[j]])


def _ngrams(text: str, n: int) -> Counter[str]:
    return Counter(text[i : i + n] for i in range(len(text) - n + 1))
