"""Checks of the labels in training and held-out data."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.config import DataConfig, RunConfig
from penstock.data.formats.corpus_files import shown
from penstock.data.pair import Pair
from penstock.errors import DataError
from penstock.metrics.labels import unseen_label
from penstock.special_tokens import RESERVED
from penstock.text import Tokenizer
from penstock.training.examples import REST, Report


def require_labels(training: Iterator[Pair], config: RunConfig) -> None:
    """Check that a classifier can learn the labels.

    Raises:
        DataError: a label with a line end, or one label alone, but for a run that goes on from a
            model, which knows others.
    """
    data = config.data
    labels: set[str] = set()
    for pair in training:
        for label in pair.targets:
            if "\n" in label or "\r" in label:
                message = f"the label {label[:60]!r} has a line end; write it on one line"
                raise DataError(message, path=shown(data.train), line=pair.line or None)
        labels.update(pair.targets)
    if len(labels) < 2 and config.start.model is None:
        raise DataError(
            f"every training text has the label {min(labels)!r}; a classifier tells labels apart: "
            "give examples of another",
            path=shown(data.train),
        )


def with_known_labels(
    valid: list[Pair], target: Tokenizer, data: DataConfig, report: Report
) -> list[Pair]:
    """The held-out pairs; a label that training lacks is an error where the user chose them."""
    labels = target.vocabulary()[len(RESERVED) :]
    known = set(labels)
    kept: list[Pair] = []
    dropped: list[str] = []
    for pair in valid:
        unseen = [label for label in pair.targets if label not in known]
        if not unseen:
            kept.append(pair)
        elif data.valid is None or data.valid == REST:
            dropped += unseen
        else:
            raise DataError(
                unseen_label(unseen[0], labels), path=shown(data.valid), line=pair.line or None
            )
    if dropped:
        report(
            f"{len(dropped):,} held-out examples left out: their labels "
            f"({', '.join(sorted(set(dropped))[:10])}) have no other example to learn from"
        )
    if not kept:
        raise DataError(
            "no held-out example has a label that the training data has too; give more examples "
            "of each label, or a file of held-out ones as data.valid",
            path=shown(data.train),
        )
    return kept
