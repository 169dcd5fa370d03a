"""Split a line into segments within the model's length limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from penstock.bundle import Bundle
from penstock.errors import UsageError
from penstock.search import Constraints
from penstock.search.limits import NO_CONSTRAINTS
from penstock.tasks.translation.phrase_constraints import constraints_of, placeholder_matches
from penstock.tasks.translation.search_options import Phrases, SearchOptions
from penstock.tasks.translation.source_encoder import SourceEncoder, SourceIds
from penstock.text.familiarity import Likeness
from penstock.text.letter_case import Reading
from penstock.text.lines import cut_to_fit, is_blank


@dataclass(frozen=True, slots=True)
class Segment:
    """A line, or as much of it as a model reads at once.

    Attributes:
        text: what it says, in the case in which it was read.
        ids: for each model its tokens, EOS last.
        constraints: what its output must and must not contain.
        was_cut: tokens of it were left out.
        likeness: whether the line is like the training text.
        line: its line as it is written, where it was read in other case; empty: as `text`.
        capitals: its output is to be in capitals, but for the phrases in `verbatim`.
    """

    text: str
    ids: SourceIds
    constraints: Constraints = NO_CONSTRAINTS
    was_cut: bool = False
    likeness: Likeness = "ok"
    line: str = ""
    capitals: bool = False
    verbatim: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Tokens of the first model's source."""
        return len(self.ids[0])


class Segmenter:
    """Splits lines where they are too long.

    Args:
        encoder: of the sources.
        bundle: its source tokenizer has the columns and the case of the training text, its target
            tokenizer is for the phrases that outputs must contain.
    """

    def __init__(self, encoder: SourceEncoder, bundle: Bundle) -> None:
        self._encoder, self._target = encoder, bundle.target_tokenizer
        self._form, self._judge = bundle.source_tokenizer.form, bundle.likeness

    def split(
        self, texts: Sequence[str], phrases: Sequence[Phrases], options: SearchOptions
    ) -> list[list[Segment]]:
        """The segments of each text; none of a blank one.

        Args:
            texts: without white space around them.
            phrases: of each text.
            options: with its placeholders, and whether long lines are split or cut short.

        Raises:
            DataError: a text lacks columns.
            UsageError: phrases of a text that is split, or that no output can contain.
        """
        self._form.check(texts)
        readings = [self._read(text, options) for text in texts]
        read = [reading.text for reading in readings]
        lines = [
            self._split(*each, options)
            for each in zip(read, self._encoder.encode(read), phrases, strict=True)
        ]
        return [
            [_as_read(segment, text, reading, like) for segment in line]
            for line, text, reading, like in zip(
                lines, texts, readings, self._judge(read), strict=True
            )
        ]

    def whole(self, text: str, options: SearchOptions) -> Segment:
        """A sentence as one segment.

        Raises:
            UsageError: the text is blank, or too long to be read at once.
        """
        text = self._form.trimmed(text)
        if is_blank(text):
            raise UsageError("the text is blank; give a sentence")
        self._form.check([text])
        reading = self._read(text, options)
        (ids,) = self._encoder.encode([reading.text])
        for own, limit in zip(ids, self._encoder.limits, strict=True):
            if len(own) > limit:
                raise UsageError(
                    f"the text has {len(own):,} source pieces, and the model reads {limit:,} at "
                    "once; give one sentence of it"
                )
        (likeness,) = self._judge([reading.text])
        segment = self._segment(reading.text, ids, options.phrases, options)
        return _as_read(segment, text, reading, likeness)

    def _split(
        self, text: str, ids: SourceIds, phrases: Phrases, options: SearchOptions
    ) -> list[Segment]:
        if is_blank(text):
            return []
        features, plain = self._form.without_features(text)
        is_whole = self._form.columns is not None and not features  # columns cannot be split
        if self._encoder.fits(ids) or is_whole:
            return [self._segment(text, ids, phrases, options)]
        cut = cut_to_fit(plain, lambda piece: self._encoder.fits(self._ids(features + piece)))
        pieces = [features + piece for piece in cut]
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
        matches = placeholder_matches(options.placeholders, text)
        verbatim = (phrases.prefix, *phrases.required, *matches)
        constraints = constraints_of(phrases, matches, self._target)
        return Segment(text, fitting, constraints, was_cut=fitting != ids, verbatim=verbatim)

    def _read(self, text: str, options: SearchOptions) -> Reading:
        keep = placeholder_matches(options.placeholders, text) if options.placeholders else ()
        return self._form.read(text, keep)


def _as_read(segment: Segment, text: str, reading: Reading, likeness: Likeness) -> Segment:
    """A segment with what is known of its line."""
    if reading.text == text and likeness == "ok":
        return segment
    line = "" if reading.text == text else text
    return replace(segment, line=line, capitals=reading.capitals, likeness=likeness)
