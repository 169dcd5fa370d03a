"""From the outputs of a line's segments to the translation of the line."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.search import Hypothesis
from penstock.tasks.translation.output_text import OutputText
from penstock.tasks.translation.result import Translation
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.segmentation import Segment
from penstock.tasks.translation.status import status_of
from penstock.text import Tokenizer
from penstock.text.lines import outer_space


class Joiner:
    """Joins what the searches of a line's segments found.

    Args:
        source: tokenizer of the source language.
        target: tokenizer of the target language.
    """

    def __init__(self, source: Tokenizer, target: Tokenizer) -> None:
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
            line: as given; white space around it is kept.
            segments: of the line; none for a blank one.
            found: hypotheses for each segment, best first.
            seconds: share of the time that the searches took.
            options: how was searched.
        """
        best = [hypotheses[0] for hypotheses in found]
        pairs = list(zip(best, segments, strict=True))
        before, behind = outer_space(line) if segments else ("", "")
        texts = [self._output.decode(hypothesis, segment, options) for hypothesis, segment in pairs]
        ids = [token for segment in segments for token in segment.ids[0]]
        return Translation(
            source=line,
            text=f"{before}{self._between.join(texts)}{behind}",
            status=status_of(segments, best, self._source, self._target),
            source_tokens=self._source.tokens(ids),
            alternatives=[self._output.alternative(h, segments[0], options) for h in found[0]]
            if len(segments) == 1
            else [],
            score=sum((hypothesis.score for hypothesis in best), 0.0),
            log_probability=sum((hypothesis.log_probability for hypothesis in best), 0.0),
            parts=len(segments),
            seconds=seconds if segments else 0.0,
        )
