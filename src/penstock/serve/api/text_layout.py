"""Split a text into lines to translate, and restore its layout."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from penstock.tasks.translation.html_translation import HtmlText
from penstock.tasks.translation.result import Alternative, Translation, of_parts
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

    def join(self, found: Sequence[Translation]) -> Translation:
        """Join the translations of `written`, with line ends, blank lines and white space.

        The result of a single line stays as it is. For several lines, as for a long line in
        segments, scores are summed and the status is at least `split`; alternatives, which belong
        to one line, are left out.
        """
        source, whole = self.with_lines(self.written), self.with_lines([r.text for r in found])
        if len(found) == 1:
            return replace(found[0], source=source, text=whole)
        return of_parts(source, whole, found, least="split")

    def with_lines(self, lines: Sequence[str]) -> str:
        """Replace the lines that are not blank."""
        others = iter(lines)
        filled = [line if is_blank(line) else next(others) for line in self.lines]
        return "".join(map("".join, zip(filled, [*self.ends, ""], strict=True)))


def split_lines(text: str) -> Text:
    """Split a text at `\\n`, `\\r\\n` and `\\r`, and nowhere else."""
    return Text(_LINE_END.split(text), _LINE_END.findall(text))


def alternative_texts(text: Text | HtmlText, found: Sequence[Translation], count: int) -> list[str]:
    """Alternative translations of a text, best first, without duplicates.

    The k-th joins the k-th alternatives of all lines, or a line's best if it has no k-th.
    """
    most = max((len(result.alternatives) for result in found), default=0)
    texts = [text.join([_nth(result, number) for result in found]).text for number in range(most)]
    best = text.join(found).text
    return [each for each in dict.fromkeys(texts) if each != best][:count]


def _nth(result: Translation, number: int) -> Translation:
    if not 0 < number < len(result.alternatives):
        return result
    chosen: Alternative = result.alternatives[number]
    core = result.alternatives[0].text
    # unlike the line's text, an alternative lacks the outer white space
    before, found, behind = result.text.partition(core)
    written = f"{before}{chosen.text}{behind}" if found and core else chosen.text
    return replace(result, text=written, alternatives=[chosen])
