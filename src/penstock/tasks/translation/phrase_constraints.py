"""Convert a line's phrases to constraints on token ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock.errors import UsageError
from penstock.search import Constraints
from penstock.special_tokens import UNK_ID
from penstock.tasks.translation.search_options import Phrases
from penstock.text import Tokenizer
from penstock.text.pattern import match_spans


def constraints_of(phrases: Phrases, matches: Sequence[str], tokenizer: Tokenizer) -> Constraints:
    """The phrases of a line, and what its placeholders match, as ids of the target.

    Args:
        phrases: as text.
        matches: what the placeholders match in the line; each becomes a required phrase.
        tokenizer: of the target.

    Raises:
        UsageError: a phrase that the target vocabulary cannot write.
    """
    required = [*phrases.required, *matches]
    return Constraints(
        prefix=_ids(phrases.prefix, tokenizer) if phrases.prefix else (),
        required=tuple(dict.fromkeys(_ids(text, tokenizer) for text in required)),
        forbidden=tuple(ids for text in phrases.forbidden for ids in _forms(text, tokenizer)),
    )


def placeholder_matches(placeholders: Iterable[str], source: str) -> list[str]:
    """What the patterns match in a line, in order; nothing inside another match."""
    found = [span for pattern in placeholders for span in match_spans(pattern, source)]
    kept: list[tuple[int, int]] = []
    for start, end in sorted(set(found), key=lambda span: (span[0] - span[1], span)):
        if start < end and not any(a <= start and end <= b for a, b in kept):
            kept.append((start, end))
    return [source[start:end].strip() for start, end in sorted(kept)]


def _ids(text: str, tokenizer: Tokenizer) -> tuple[int, ...]:
    ids = tuple(tokenizer.encode(text))
    if not ids:
        raise UsageError("a phrase is empty; leave it out")
    if UNK_ID in ids:
        raise UsageError(
            f"phrase {text!r}: the target vocabulary cannot write it; give one of known tokens"
        )
    return ids


def _forms(text: str, tokenizer: Tokenizer) -> list[tuple[int, ...]]:
    """A forbidden phrase; what the vocabulary cannot write need not be forbidden."""
    ids = tuple(tokenizer.encode(text))
    if not ids:
        raise UsageError("a phrase is empty; leave it out")
    return [] if UNK_ID in ids else [ids]
