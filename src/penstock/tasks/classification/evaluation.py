"""Evaluate a classifier."""

from __future__ import annotations

from dataclasses import asdict

from penstock.errors import DataError
from penstock.metrics.labels import score_labels, unseen_label
from penstock.tasks.classification.text_classifier import TextClassifier
from penstock.tasks.evaluation import Evaluation, EvaluationData
from penstock.tasks.sureness import with_reliability


def evaluate(classifier: TextClassifier, data: EvaluationData) -> Evaluation:
    """Label texts and compare with their labels.

    Raises:
        DataError: no text, or a label that training did not see.
    """
    pairs = list(data.pairs())
    if not pairs:
        raise DataError("no labelled text to score", path=data.path)
    known = set(classifier.labels)
    for pair in pairs:
        for label in pair.targets:
            if label not in known:
                message = unseen_label(label, classifier.labels)
                raise DataError(message, path=data.path, line=pair.line or None)
    results = classifier.classify([pair.source for pair in pairs])
    labels = [result.label for result in results]
    found = score_labels(labels, [pair.targets for pair in pairs], classifier.labels)
    cut = sum(result.status == "truncated" for result in results)
    limit = classifier.bundle.config.data.max_source_tokens
    scores = {"accuracy": found.accuracy, "macro_f1": found.macro_f1}
    confusion = [
        {"label": right, "found": given, "count": count}
        for (right, given), count in sorted(found.confusion.items())
    ]
    evaluation = Evaluation(
        scores,
        examples=found.sentences,
        report={
            **scores,
            "labels": {name: asdict(label) for name, label in found.labels.items()},
            "confusion": confusion,
            "sentences": found.sentences,
        },
        rows=[
            ("accuracy %", f"{found.accuracy:.2f}"),
            ("macro F1 %", f"{found.macro_f1:.2f}"),
            *(
                (
                    name,
                    f"precision {s.precision:.1f}  recall {s.recall:.1f}  F1 {s.f1:.1f}  "
                    f"of {s.support}",
                )
                for name, s in found.labels.items()
            ),
            ("sentences", f"{found.sentences}"),
        ],
        outputs=[(p.source, label, *p.targets) for p, label in zip(pairs, labels, strict=True)],
        notes=[f"{cut:,} of {len(pairs):,} texts are longer than {limit} tokens and were truncated"]
        if cut
        else [],
    )
    return with_reliability(
        evaluation,
        (
            (result.confidence, result.label in pair.targets)
            for pair, result in zip(pairs, results, strict=True)
        ),
    )
