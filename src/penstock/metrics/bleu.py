r"""The chapter's BLEU of one sentence.

    exp(min(0, 1 - len_label / len_pred)) * prod_{n=1..k} p_n ** (1 / 2**n)

where p_n is the share of the prediction's n-grams that are in the label, counts clipped to those of
the label (d2l.ai, 'Evaluation of Predicted Sequences'; after Papineni et al. 2002,
https://aclanthology.org/P02-1040). Corpora are scored by `penstock.metrics.corpus_scores`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from penstock.errors import UsageError


def bleu(pred_seq: str, label_seq: str, k: int) -> float:
    """The chapter's BLEU of a prediction against one label, between 0 and 1.

    The book's code divides by zero on short predictions or, in its later edition, skips the orders
    that they are too short for. Here every input is defined: an order longer than the prediction
    has precision 0, unless it is longer than the label too. So a sentence against itself is always
    1, even if empty, and an empty prediction of a non-empty label is 0.

    Args:
        pred_seq: predicted tokens, separated by white space.
        label_seq: the reference, likewise.
        k: the longest n-gram.

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
    """The precisions p_1 .. p_k; None if both sides are shorter than the n-gram.

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
