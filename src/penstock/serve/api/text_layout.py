"""Split a text into lines to translate, and restore its layout."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from penstock.tasks.translation.result import Alternative, Translation
from penstock.tasks.translation.status import SEVERITY, Status
from penstock.text.lines import is_blank

_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Text:
    """A text cut at its line ends.

    Attributes:
        lines: without line ends.
        ends: the line ends, one fewer than the lines.
    """

    lines: list[str]
    ends: list[str]

    @property
    def written(self) -> list[str]:
        """The lines that are not blank."""
        return [line for line in self.lines if not is_blank(line)]

    def with_lines(self, lines: Sequence[str]) -> str:
        """Replace the lines that are not blank."""
        others = iter(lines)
        filled = [line if is_blank(line) else next(others) for line in self.lines]
        return "".join(map("".join, zip(filled, [*self.ends, ""], strict=True)))


def split_lines(text: str) -> Text:
    """Split a text at `\\n`, `\\r\\n` and `\\r`, and nowhere else."""
    return Text(_LINE_END.split(text), _LINE_END.findall(text))


def join_translations(source: str, text: Text, found: Sequence[Translation]) -> Translation:
    """Join the translations of a text's lines, preserving line ends, blank lines and white space.

    The result of a single line stays as it is. For several lines, as for a long line in segments,
    scores are summed, confidences multiplied, the status is the most severe one (at least `split`),
    and alternatives, which belong to one line, are left out.

    Args:
        source: the text.
        text: its lines.
        found: the translations of `text.written`.
    """
    whole = text.with_lines([result.text for result in found])
    if not found:
        return Translation(source, whole, "empty", [], [], 0.0, 0.0, 0, 0.0)
    if len(found) == 1:
        return replace(found[0], source=source, text=whole)
    statuses: list[Status] = ["split", *(result.status for result in found)]
    confidences = [each.confidence for each in found if each.confidence is not None]
    chrfs = [each.expected_chrf for each in found if each.expected_chrf is not None]
    return Translation(
        source=source,
        text=whole,
        status=max(statuses, key=SEVERITY.index),
        source_tokens=[token for result in found for token in result.source_tokens],
        alternatives=[],
        score=sum(result.score for result in found),
        log_probability=sum(result.log_probability for result in found),
        parts=sum(result.parts for result in found),
        seconds=sum(result.seconds for result in found),
        confidence=math.prod(confidences) if len(confidences) == len(found) else None,
        expected_chrf=sum(chrfs) / len(found) if len(chrfs) == len(found) else None,
    )


def alternative_texts(text: Text, found: Sequence[Translation], count: int) -> list[str]:
    """Alternative translations of a text, best first, without duplicates.

    The k-th joins the k-th alternatives of all lines, or a line's best if it has no k-th.
    """
    most = max((len(result.alternatives) for result in found), default=0)
    texts = [text.with_lines([_nth(result, number) for result in found]) for number in range(most)]
    best = text.with_lines([result.text for result in found])
    return [each for each in dict.fromkeys(texts) if each != best][:count]


def _nth(result: Translation, number: int) -> str:
    if not 0 < number < len(result.alternatives):
        return result.text
    chosen: Alternative = result.alternatives[number]
    core = result.alternatives[0].text
    # unlike the line's text, an alternative lacks the outer white space
    before, found, behind = result.text.partition(core)
    return f"{before}{chosen.text}{behind}" if found and core else chosen.text
