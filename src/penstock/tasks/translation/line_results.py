"""Results of lines, each complete when the last of its segments is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penstock.search import Hypothesis
from penstock.tasks.translation.joined_translation import Joiner
from penstock.tasks.translation.result import Translation
from penstock.tasks.translation.search_options import SearchOptions
from penstock.tasks.translation.segmentation import Segment

OnTranslation = Callable[[int, Translation], None]


class LineResults:
    """Collects what is found for the segments of lines.

    Args:
        lines: as given.
        segments: of each line; a blank line has none and is complete at once.
        joiner: makes a line's result.
        options: how is searched.
        on_result: called with each line's number and result as soon as it is complete.
    """

    def __init__(
        self,
        lines: Sequence[str],
        segments: Sequence[Sequence[Segment]],
        joiner: Joiner,
        options: SearchOptions,
        on_result: OnTranslation | None,
    ) -> None:
        self.segments = [segment for own in segments for segment in own]
        self._lines, self._of_lines = lines, segments
        self._places = [(n, i) for n, own in enumerate(segments) for i in range(len(own))]
        self._joiner, self._options, self._on_result = joiner, options, on_result
        self._found: list[dict[int, Sequence[Hypothesis]]] = [{} for _ in lines]
        self._seconds = [0.0] * len(lines)
        self._results: dict[int, Translation] = {}
        for number, own in enumerate(segments):
            if not own:
                self._complete(number)

    def add(self, segment: int, hypotheses: Sequence[Hypothesis], seconds: float) -> None:
        """Take the hypotheses of a segment, and the time that they took."""
        line, place = self._places[segment]
        self._found[line][place] = hypotheses
        self._seconds[line] += seconds
        if len(self._found[line]) == len(self._of_lines[line]):
            self._complete(line)

    def in_order(self) -> list[Translation]:
        """The results, one per line."""
        return [self._results[number] for number in range(len(self._lines))]

    def _complete(self, line: int) -> None:
        found = [hypotheses for _, hypotheses in sorted(self._found[line].items())]
        result = self._joiner.join(
            self._lines[line], self._of_lines[line], found, self._seconds[line], self._options
        )
        self._results[line] = result
        if self._on_result is not None:
            self._on_result(line, result)
