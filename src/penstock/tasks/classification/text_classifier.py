"""A trained classifier ready to label sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from penstock.errors import DataError, UsageError
from penstock.metrics.labels import unseen_label
from penstock.runtime.engine import required
from penstock.search.cancellation import ShouldStop, check_stop
from penstock.special_tokens import UNK_ID
from penstock.tasks.classification.task import CLASSIFICATION
from penstock.tasks.loaded_model import LoadedModel
from penstock.tasks.sentence_encoder import Sentence, in_batches
from penstock.tasks.sureness import odds_features, require_confidence
from penstock.text.familiarity import Likeness
from penstock.text.lines import is_blank


@dataclass(frozen=True, slots=True)
class Label:
    """The label of one line.

    Attributes:
        source: the line.
        label: the likeliest label; empty for a blank line.
        probability: of that label; 0 for a blank line.
        probabilities: of all labels, the likeliest first; empty for a blank line.
        status: `ok`; `empty` for a blank line; `unsure` if the confidence is
            below `min_confidence`; `unfamiliar` if it is unlike the training text or
            has characters that it hardly has; `truncated` if the line exceeds the model's limit;
            `unknown-heavy` if more than half of its tokens are unknown, or normalization leaves
            nothing. If several apply, the last of these.
        confidence: calibrated probability that the label is right; `probability` is the network's
            own. None where nothing says: the model has none (too few held-out texts, or an older
            model), or the line is blank, unfamiliar or unknown.
    """

    source: str
    label: str
    probability: float
    probabilities: dict[str, float]
    status: Literal["ok", "empty", "unsure", "unfamiliar", "truncated", "unknown-heavy"]
    confidence: float | None = None

    @property
    def highest(self) -> tuple[float, float]:
        """The probabilities of the two likeliest labels; 0 where there is none."""
        first, second, *_ = *self.probabilities.values(), 0.0, 0.0
        return first, second

    def is_unsure(self, least: float) -> bool:
        """Whether an otherwise sound label has a confidence below `least`."""
        return self.status == "ok" and self.confidence is not None and self.confidence < least


class TextClassifier(LoadedModel):
    """A classifier with its tokenizer and labels.

    `TextClassifier.load("runs/reviews").classify(["A fine film."])[0].label`
    """

    task = CLASSIFICATION

    @cached_property
    def labels(self) -> list[str]:
        """The labels, in the order of the network's outputs."""
        return self.bundle.labels

    def classify(
        self,
        lines: Sequence[str],
        *,
        min_confidence: float | None = None,
        should_stop: ShouldStop | None = None,
    ) -> list[Label]:
        """Label lines, one result each, in order; a blank line gets no label.

        Args:
            lines: texts.
            min_confidence: labels less likely to be right get the status `unsure`.
            should_stop: called before each batch; cancels when it returns True.

        Raises:
            UsageError: a string instead of a list of lines, or a `min_confidence` where labels have
                no confidence.
            SearchStoppedError: cancelled by `should_stop`.
        """
        if isinstance(lines, str):
            raise UsageError("classify takes a list of lines: classify(['A fine film.'])")
        if min_confidence is not None:
            require_confidence(self.bundle.confidence)
        results: list[Label] = [Label(line, "", 0.0, {}, "empty") for line in lines]
        places = [i for i, line in enumerate(lines) if not is_blank(line)]
        written = [lines[i] for i in places]
        rows, likenesses = self._sentences.encode(written), self.bundle.likeness(written)
        for batch in in_batches([row.ids for row in rows]):
            check_stop(should_stop)
            (probabilities,) = self.engine.run("probabilities", batch.ids, batch.lengths)
            for index, values in zip(batch.rows, required(probabilities).tolist(), strict=True):
                place = places[index]
                results[place] = self._label(lines[place], values, rows[index], likenesses[index])
        if min_confidence is None:
            return results
        return [
            replace(each, status="unsure") if each.is_unsure(min_confidence) else each
            for each in results
        ]

    def label_ids(self, labels: Sequence[str]) -> list[int]:
        """The class indices of labels.

        Raises:
            DataError: a label that was not in the training data.
        """
        index = {label: i for i, label in enumerate(self.labels)}
        for label in labels:
            if label not in index:
                raise DataError(unseen_label(label, self.labels))
        return [index[label] for label in labels]

    def _label(self, line: str, values: list[float], row: Sentence, likeness: Likeness) -> Label:
        ranked = sorted(zip(values, self.labels, strict=True), key=lambda pair: -pair[0])
        tokens = len(row.ids) - 1  # EOS is none
        unknown = 2 * row.ids.count(UNK_ID) > tokens or not tokens
        status = "unknown-heavy" if unknown else likeness
        if row.cut and status != "unknown-heavy":
            status = "truncated"
        probability, label = ranked[0]
        found = Label(line, label, probability, {name: p for p, name in ranked}, status)
        calibrated = self.bundle.confidence
        if calibrated is None or likeness != "ok" or status == "unknown-heavy":
            return found
        return replace(found, confidence=calibrated.probability(odds_features(*found.highest)))
