"""From the outputs of a line's segments to the translation of the line."""

from __future__ import annotations

import math
from collections.abc import Sequence

from penstock.metrics.confidence import Confidence
from penstock.search import Hypothesis
from penstock.tasks.translation.outcomes import score_features
from penstock.tasks.translation.output_text import OutputText
from penstock.tasks.translation.result import Translation
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.segmentation import Segment
from penstock.tasks.translation.status import SEVERITY, Status, status_of
from penstock.text import Tokenizer
from penstock.text.lines import outer_space


class Joiner:
    """Joins what the searches of a line's segments found.

    Args:
        source: tokenizer of the source language.
        target: tokenizer of the target language.
        confidence: of the model's outputs; None if nothing says.
    """

    def __init__(self, source: Tokenizer, target: Tokenizer, confidence: Confidence | None) -> None:
        self._confidence = confidence
        self._source, self._target = source, target
        self._output = OutputText(source, target)
        self._between = target.symbol_separator or " "

    def join(
        self,
        line: str,
        segments: Sequence[Segment],
        found: Sequence[Sequence[Hypothesis]],
        seconds: float,
        options: SearchOptions,
    ) -> Translation:
        """The translation of a line.

        Args:
            line: as given; white space around it is kept, unless it has columns.
            segments: of the line; none for a blank one.
            found: hypotheses for each segment, best first.
            seconds: share of the time that the searches took.
            options: how was searched.
        """
        best = [hypotheses[0] for hypotheses in found]
        pairs = list(zip(best, segments, strict=True))
        is_plain = bool(segments) and self._source.form.columns is None
        before, behind = outer_space(line) if is_plain else ("", "")
        texts = [self._output.decode(hypothesis, segment, options) for hypothesis, segment in pairs]
        ids = [token for segment in segments for token in segment.ids[0]]
        status: Status = status_of(segments, best, self._source, self._target)
        confidence, expected_chrf = self._sureness(segments, best, options)
        least = options.min_confidence
        if confidence is not None and least is not None and confidence < least:
            candidates: list[Status] = [status, "unsure"]
            status = max(candidates, key=SEVERITY.index)
        return Translation(
            source=line,
            text=f"{before}{self._between.join(texts)}{behind}",
            status=status,
            source_tokens=self._source.tokens(ids),
            alternatives=[self._output.alternative(h, segments[0], options) for h in found[0]]
            if len(segments) == 1
            else [],
            score=sum((hypothesis.score for hypothesis in best), 0.0),
            log_probability=sum((hypothesis.log_probability for hypothesis in best), 0.0),
            parts=len(segments),
            seconds=seconds if segments else 0.0,
            confidence=confidence,
            expected_chrf=expected_chrf,
            read_as=" ".join(segment.text for segment in segments)
            if any(segment.line for segment in segments)
            else None,
        )

    def _sureness(
        self, segments: Sequence[Segment], best: Sequence[Hypothesis], options: SearchOptions
    ) -> tuple[float | None, float | None]:
        """The probability that every segment is exactly right, and the mean chrF to expect."""
        familiar = segments and all(segment.likeness == "ok" for segment in segments)
        if self._confidence is None or not familiar or not options.seeks_the_likeliest:
            return None, None
        features = [score_features(each) for each in best]
        chrfs = [self._confidence.expected_chrf(each) or 0.0 for each in features]
        return math.prod(map(self._confidence.probability, features)), sum(chrfs) / len(chrfs)
