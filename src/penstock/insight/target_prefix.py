"""Convert the target pieces of a forced prefix to ids."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from penstock.errors import UsageError
from penstock.special_tokens import EOS_ID, RESERVED


def prefix_ids(
    pieces: Sequence[str], vocabulary: Sequence[str], blocked: Sequence[int]
) -> tuple[int, ...]:
    """Look up target pieces.

    Args:
        pieces: as an inspection shows them.
        vocabulary: all tokens by id.
        blocked: ids that are never written.

    Raises:
        UsageError: an unknown or blocked piece, or EOS.
    """
    if isinstance(pieces, str):
        raise UsageError("a prefix is a list of target pieces, such as ['▁A', '▁man']")
    # of tokens that look alike, the first one wins, and reserved ones come last
    order = [*range(len(RESERVED), len(vocabulary)), *range(len(RESERVED))]
    known: dict[str, int] = {}
    for index in order:
        known.setdefault(vocabulary[index], index)
    return tuple(_id(piece, place, known, blocked) for place, piece in enumerate(pieces, 1))


def _id(piece: str, place: int, known: dict[str, int], blocked: Sequence[int]) -> int:
    index = known.get(piece)
    if index is None:
        near = get_close_matches(piece, known, 1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(
            f"prefix, piece {place}: {piece!r} is not in the target vocabulary; give whole "
            f"pieces as 'target_tokens' shows them{meant}"
        )
    if index == EOS_ID:
        raise UsageError(
            f"prefix, piece {place}: {piece!r} ends the output, so nothing is left to search; "
            "leave it out"
        )
    if index in blocked:
        raise UsageError(f"prefix, piece {place}: {piece!r} is never written; leave it out")
    return index
