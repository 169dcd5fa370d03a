r"""The chapter's BLEU of one sentence.

    exp(min(0, 1 - len_label / len_pred)) * prod_{n=1..k} p_n ** (1 / 2**n)

where p_n is the share of the prediction's n-grams that the label has too, each at most as often as
the label has it (d2l.ai, 'Evaluation of Predicted Sequences'; after Papineni et al. 2002,
https://aclanthology.org/P02-1040). Corpora are scored by `penstock.metrics.corpus_scores`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from penstock.errors import UsageError


def bleu(pred_seq: str, label_seq: str, k: int) -> float:
    """The chapter's BLEU of a prediction against one label, between 0 and 1.

    The book's code divides by zero on short predictions or, in its later edition, leaves out the
    orders that they are too short for. Here it is defined for every input: an order that the
    prediction is too short for has precision 0, unless the label is too short for it as well and
    there is nothing to miss; so a sentence against itself is always 1, two empty ones included, and
    an empty prediction of a non-empty label is 0.

    Args:
        pred_seq: predicted tokens, divided by white space.
        label_seq: the right tokens, likewise.
        k: the longest n-gram that counts.

    Raises:
        UsageError: `k` below 1.

    >>> round(bleu("A B B C D", "A B C D E F", 3), 4)
    0.594
    >>> bleu("A B B C D", "A B C D E F", 4)
    0.0
    >>> bleu("", "A", 2), bleu("A", "A", 2)
    (0.0, 1.0)
    """
    precisions = ngram_precisions(pred_seq, label_seq, k)
    len_pred, len_label = len(pred_seq.split()), len(label_seq.split())
    if len_pred == 0:
        return float(len_label == 0)
    score = math.exp(min(0.0, 1 - len_label / len_pred))
    for n, precision in enumerate(precisions, start=1):
        if precision is not None:
            score *= precision ** (0.5**n)
    return score


def ngram_precisions(pred_seq: str, label_seq: str, k: int) -> list[float | None]:
    """The precisions p_1 .. p_k; None where both sides are shorter than the n-gram.

    The chapter's example:

    >>> [round(p, 3) for p in ngram_precisions("A B B C D", "A B C D E F", 4)]
    [0.8, 0.75, 0.333, 0.0]
    """
    if k < 1:
        raise UsageError(f"BLEU's k is {k}, but the longest n-gram needs at least 1 token")
    pred, label = pred_seq.split(), label_seq.split()
    return [_precision(_ngrams(pred, n), _ngrams(label, n)) for n in range(1, k + 1)]


def _precision(pred: Counter[tuple[str, ...]], label: Counter[tuple[str, ...]]) -> float | None:
    if not pred:
        return 0.0 if label else None
    return (pred & label).total() / pred.total()


def _ngrams(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
