"""Classification scores: accuracy; precision, recall and F1 per label; the confusion matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LabelScore:
    """Scores of one label in percent, 0 where undefined.

    Attributes:
        precision: share of the sentences predicted as this label that have it.
        recall: share of the sentences with this label that are predicted as such.
        f1: harmonic mean of both.
        support: number of sentences with this label.
    """

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class LabelScores:
    """Classification scores of a data set.

    Attributes:
        accuracy: percentage of sentences with a correct prediction.
        labels: scores of each label that occurs.
        confusion: counts by (true label, predicted label).
        sentences: number of sentences.
    """

    accuracy: float
    labels: dict[str, LabelScore]
    confusion: dict[tuple[str, str], int]
    sentences: int

    @property
    def macro_f1(self) -> float:
        """Unweighted mean F1 of the labels that occur."""
        return sum(label.f1 for label in self.labels.values()) / max(len(self.labels), 1)


def score_labels(
    found: Sequence[str], right: Sequence[Sequence[str]], known: Sequence[str] = ()
) -> LabelScores:
    """Compare predicted labels with true ones.

    Args:
        found: the predicted label of each sentence; empty for none.
        right: the true labels of each sentence, one or more. The sentence counts as the predicted
            one of them, otherwise as the first.
        known: order of labels; others that occur follow.

    >>> scores = score_labels(["a", "b", "b"], [["a"], ["b"], ["a"]])
    >>> round(scores.accuracy, 1), scores.labels["b"].precision
    (66.7, 50.0)
    """
    truths = [
        label if label in labels else labels[0] for label, labels in zip(found, right, strict=True)
    ]
    confusion = Counter(zip(truths, found, strict=True))
    hits = Counter(truth for truth, label in zip(truths, found, strict=True) if truth == label)
    support, predicted = Counter(truths), Counter(found)
    order = [label for label in dict.fromkeys([*known, *sorted({*truths, *found})]) if label]
    labels = {
        label: _score(hits[label], predicted[label], support[label])
        for label in order
        if support[label] or predicted[label]
    }
    accuracy = 100 * hits.total() / max(len(truths), 1)
    return LabelScores(accuracy, labels, dict(confusion), len(truths))


def _score(hits: int, predicted: int, support: int) -> LabelScore:
    precision = 100 * hits / predicted if predicted else 0.0
    recall = 100 * hits / support if support else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return LabelScore(precision, recall, f1, support)


def unseen_label(label: str, labels: Sequence[str]) -> str:
    """The message about a label that is not in the training data."""
    shown = ", ".join(map(repr, labels[:10])) + (", …" if len(labels) > 10 else "")
    return (
        f"label {label!r} was not in the training data, which has {shown}; correct it, or train "
        "with examples of it"
    )
