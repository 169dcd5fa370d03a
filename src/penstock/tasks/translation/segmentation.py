"""Split a line into segments within the model's length limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from penstock.bundle import Bundle
from penstock.errors import UsageError
from penstock.search import Constraints
from penstock.search.limits import NO_CONSTRAINTS
from penstock.tasks.translation.phrase_constraints import constraints_of
from penstock.tasks.translation.search_options import Phrases, SearchOptions
from penstock.tasks.translation.source_encoder import SourceEncoder, SourceIds
from penstock.text.familiarity import Likeness
from penstock.text.lines import cut_to_fit, is_blank


@dataclass(frozen=True, slots=True)
class Segment:
    """A line, or as much of it as a model reads at once.

    Attributes:
        text: what it says.
        ids: for each model its tokens, EOS last.
        constraints: what its output must and must not contain.
        was_cut: tokens of it were left out.
        likeness: whether the line is like the training text.
    """

    text: str
    ids: SourceIds
    constraints: Constraints = NO_CONSTRAINTS
    was_cut: bool = False
    likeness: Likeness = "ok"

    @property
    def size(self) -> int:
        """Tokens of the first model's source."""
        return len(self.ids[0])


class Segmenter:
    """Splits lines where they are too long.

    Args:
        encoder: of the sources.
        bundle: its target tokenizer is for the phrases that outputs must contain.
    """

    def __init__(self, encoder: SourceEncoder, bundle: Bundle) -> None:
        self._encoder, self._target = encoder, bundle.target_tokenizer
        self._judge = bundle.likeness

    def split(
        self, texts: Sequence[str], phrases: Sequence[Phrases], options: SearchOptions
    ) -> list[list[Segment]]:
        """The segments of each text; none of a blank one.

        Args:
            texts: without white space around them.
            phrases: of each text.
            options: with its placeholders, and whether long lines are split or cut short.

        Raises:
            UsageError: phrases of a text that is split, or that no output can contain.
        """
        read = zip(texts, self._encoder.encode(texts), phrases, strict=True)
        lines = [self._split(*each, options) for each in read]
        return [
            [segment if like == "ok" else replace(segment, likeness=like) for segment in line]
            for line, like in zip(lines, self._judge(texts), strict=True)
        ]

    def whole(self, text: str, options: SearchOptions) -> Segment:
        """A sentence as one segment.

        Raises:
            UsageError: the text is blank, or too long to be read at once.
        """
        text = text.strip()
        if is_blank(text):
            raise UsageError("the text is blank; give a sentence")
        (ids,) = self._encoder.encode([text])
        for own, limit in zip(ids, self._encoder.limits, strict=True):
            if len(own) > limit:
                raise UsageError(
                    f"the text has {len(own):,} source pieces, and the model reads {limit:,} at "
                    "once; give one sentence of it"
                )
        (likeness,) = self._judge([text])
        return replace(self._segment(text, ids, options.phrases, options), likeness=likeness)

    def _split(
        self, text: str, ids: SourceIds, phrases: Phrases, options: SearchOptions
    ) -> list[Segment]:
        if is_blank(text):
            return []
        if self._encoder.fits(ids):
            return [self._segment(text, ids, phrases, options)]
        pieces = list(cut_to_fit(text, lambda piece: self._encoder.fits(self._ids(piece))))
        if options.long_lines == "truncate":
            first = self._segment(pieces[0], self._ids(pieces[0]), phrases, options)
            return [replace(first, was_cut=True)]
        if len(pieces) > 1 and phrases != Phrases():
            raise UsageError(
                f"a line of {len(text):,} characters is translated in {len(pieces)} segments: "
                "phrases cannot be asked of it; split it, or leave them out"
            )
        return [self._segment(piece, self._ids(piece), phrases, options) for piece in pieces]

    def _ids(self, text: str) -> SourceIds:
        return self._encoder.encode([text])[0]

    def _segment(
        self, text: str, ids: SourceIds, phrases: Phrases, options: SearchOptions
    ) -> Segment:
        fitting = self._encoder.cut(ids)  # a character alone may be too long
        constraints = constraints_of(phrases, options.placeholders, text, self._target)
        return Segment(text, fitting, constraints, was_cut=fitting != ids)
