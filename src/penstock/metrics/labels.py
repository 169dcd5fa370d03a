"""Scores of a classifier: accuracy, precision, recall and F1 a label, the confusion of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LabelScore:
    """How well one label is found, in per cent; 0 where there was nothing to find or none found.

    Attributes:
        precision: of the sentences given this label, those that have it.
        recall: of the sentences that have it, those given it.
        f1: harmonic mean of both.
        support: sentences that have it.
    """

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class LabelScores:
    """Scores over sentences.

    Attributes:
        accuracy: percentage of sentences given a right label.
        labels: scores of each label that occurs.
        confusion: (right, given) and how often.
        sentences: how many.
    """

    accuracy: float
    labels: dict[str, LabelScore]
    confusion: dict[tuple[str, str], int]
    sentences: int

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the labels that occur: each counts the same, however rare."""
        return sum(label.f1 for label in self.labels.values()) / max(len(self.labels), 1)


def score_labels(
    found: Sequence[str], right: Sequence[Sequence[str]], known: Sequence[str] = ()
) -> LabelScores:
    """Compare given labels with right ones.

    Args:
        found: the label given to each sentence; empty for none.
        right: of each sentence the right labels, one or more. A sentence given one of them counts
            as of that label; otherwise as of the first.
        known: labels in the order wanted; others that occur come after them.

    >>> scores = score_labels(["a", "b", "b"], [["a"], ["b"], ["a"]])
    >>> round(scores.accuracy, 1), scores.labels["b"].precision
    (66.7, 50.0)
    """
    truths = [
        label if label in labels else labels[0] for label, labels in zip(found, right, strict=True)
    ]
    confusion = Counter(zip(truths, found, strict=True))
    hits = Counter(truth for truth, label in zip(truths, found, strict=True) if truth == label)
    support, given = Counter(truths), Counter(found)
    order = [label for label in dict.fromkeys([*known, *sorted({*truths, *found})]) if label]
    labels = {
        label: _score(hits[label], given[label], support[label])
        for label in order
        if support[label] or given[label]
    }
    accuracy = 100 * hits.total() / max(len(truths), 1)
    return LabelScores(accuracy, labels, dict(confusion), len(truths))


def _score(hits: int, given: int, support: int) -> LabelScore:
    precision = 100 * hits / given if given else 0.0
    recall = 100 * hits / support if support else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return LabelScore(precision, recall, f1, support)


def unseen_label(label: str, labels: Sequence[str]) -> str:
    """The message about a label that training did not see."""
    shown = ", ".join(map(repr, labels[:10])) + (", …" if len(labels) > 10 else "")
    return (
        f"label {label!r} was not in the training data, which has {shown}; correct it, or train "
        "with examples of it"
    )
