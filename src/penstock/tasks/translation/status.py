"""The status of a line's translation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

from penstock.special_tokens import UNK_ID
from penstock.text.repetition import has_loop

if TYPE_CHECKING:
    from penstock.search import Hypothesis
    from penstock.tasks.translation.segmentation import Segment
    from penstock.text import Tokenizer

# from least to most severe, as `Translation` documents it
Status = Literal[
    "empty",
    "ok",
    "split",
    "unsure",
    "unfamiliar",
    "unknown-heavy",
    "repeated",
    "length-capped",
    "truncated",
]
SEVERITY: tuple[Status, ...] = get_args(Status)


def status_of(
    segments: Sequence[Segment], best: Sequence[Hypothesis], source: Tokenizer, target: Tokenizer
) -> Status:
    """The most severe status of a line (see `Translation`).

    Args:
        segments: of the line; none for a blank one.
        best: output of each.
        source: tokenizer of the source language.
        target: tokenizer of the target language.
    """
    if not segments:
        return "empty"
    if any(segment.was_cut for segment in segments):
        return "truncated"
    if not all(hypothesis.finished for hypothesis in best):
        return "length-capped"
    for segment, hypothesis in zip(segments, best, strict=True):
        output = target.tokens(hypothesis.tokens)
        if has_loop(output) and not has_loop(source.tokens(segment.ids[0])):
            return "repeated"
    if any(2 * segment.ids[0].count(UNK_ID) > segment.size - 1 for segment in segments):
        return "unknown-heavy"
    likenesses: list[Status] = [segment.likeness for segment in segments]
    likenesses.append("split" if len(segments) > 1 else "ok")
    return max(likenesses, key=SEVERITY.index)
