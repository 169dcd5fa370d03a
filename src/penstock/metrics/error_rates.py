"""Error rates in percent, per token and per sequence.

WER here is the token error rate over words, as in translation and speech. Grapheme-to-phoneme work
(SIGMORPHON, https://aclanthology.org/2020.sigmorphon-1.2) calls the sequence error rate WER, since
its sequences are the phones of one word; here that is SER. PER and CER are the token error rate
over phones and over characters.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from penstock.errors import DataError, UsageError

Tokenize = Callable[[str], Sequence[Hashable]]


def require_aligned(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Check that there are sentences, each with a list of at least one reference.

    Raises:
        DataError: no sentences, unequal numbers, or a sentence without reference.
        UsageError: references that are plain strings.
    """
    if len(hypotheses) != len(references):
        raise DataError(
            f"{len(hypotheses)} hypotheses but references for {len(references)} sentences; "
            "give one hypothesis for each, an empty one where there is none"
        )
    if not hypotheses:
        raise DataError("no sentences to score; give at least one hypothesis with its references")
    for number, options in enumerate(references, start=1):
        if isinstance(options, str):
            raise UsageError(
                f"references of sentence {number} are the string {options!r}; give a list of them"
            )
        if not options:
            raise DataError(
                f"sentence {number} has no reference; give at least one, or leave it out"
            )


def exact_match(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Percentage of hypotheses equal to any of their references.

    Case and punctuation matter; any run of white space (U+00A0 and U+202F included) equals one
    space, and white space at the ends is ignored.

    Raises:
        DataError: see `require_aligned`.
    """
    return 100.0 - sequence_error_rate(hypotheses, references)


def sequence_error_rate(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    tokenize: Tokenize = str.split,
) -> float:
    """Percentage of hypotheses whose tokens equal those of no reference.

    Raises:
        DataError: see `require_aligned`.
    """
    return _rate(sequence_errors(hypotheses, references, tokenize=tokenize))


def token_error_rate(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    tokenize: Tokenize = str.split,
) -> float:
    """Edits needed per reference token, in percent over the whole corpus (may exceed 100).

    Edits and reference lengths are summed before the division. If all references are empty they
    count as one token, so that the rate is finite. Arguments as of `token_errors`.

    Raises:
        DataError: see `require_aligned`.
    """
    return _rate(token_errors(hypotheses, references, tokenize=tokenize))


def character_error_rate(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """The token error rate over characters; any run of white space equals one space.

    Raises:
        DataError: see `require_aligned`.
    """
    return _rate(character_errors(hypotheses, references))


def exact_matches(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> list[tuple[int, int]]:
    """For each sentence 1 if it is as `exact_match` wants it or 0, and 1."""
    return [(1 - wrong, 1) for wrong, _ in sequence_errors(hypotheses, references)]


def sequence_errors(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    tokenize: Tokenize = str.split,
) -> list[tuple[int, int]]:
    """For each sentence 1 if its tokens equal those of no reference or 0, and 1."""
    require_aligned(hypotheses, references)
    tokens = [list(tokenize(hypothesis)) for hypothesis in hypotheses]
    return [
        (int(all(own != list(tokenize(option)) for option in options)), 1)
        for own, options in zip(tokens, references, strict=True)
    ]


def token_errors(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    tokenize: Tokenize = str.split,
) -> list[tuple[int, int]]:
    """For each sentence the edits to its closest reference, and that reference's tokens.

    The closest reference is that of the fewest edits, then the longest.

    Args:
        hypotheses: one per sentence.
        references: one or more per hypothesis.
        tokenize: text to tokens; by default split at white space (U+00A0 and U+202F too).

    Raises:
        DataError: see `require_aligned`.
    """
    require_aligned(hypotheses, references)
    found: list[tuple[int, int]] = []
    for hypothesis, options in zip(hypotheses, references, strict=True):
        tokens = tokenize(hypothesis)
        edits, negative_length = min(
            (edit_distance(tokens, reference), -len(reference))
            for reference in map(tokenize, options)
        )
        found.append((edits, -negative_length))
    return found


def character_errors(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> list[tuple[int, int]]:
    """`token_errors` over characters; any run of white space equals one space."""
    return token_errors(hypotheses, references, tokenize=lambda text: " ".join(text.split()))


def _rate(counts: Sequence[tuple[int, int]]) -> float:
    errors, totals = map(sum, zip(*counts, strict=True))
    return 100.0 * errors / max(totals, 1)


def edit_distance(left: Sequence[Hashable], right: Sequence[Hashable]) -> int:
    """Levenshtein distance: insertions, deletions, substitutions, one each.

    Bit-parallel (Myers 1999, https://doi.org/10.1145/316542.316550, in Hyyrö's form): a column of
    the table of distances is two integers, where bit i tells if row i + 1 is one more (`rises`) or
    one less (`falls`) than row i. Each token of `right` takes a few operations on integers of
    `len(left)` bits.

    >>> edit_distance("kitten", "sitting")
    3
    """
    if not left:
        return len(right)
    positions: dict[Hashable, int] = {}
    for i, token in enumerate(left):
        positions[token] = positions.get(token, 0) | 1 << i
    all_rows = (1 << len(left)) - 1
    last_row = 1 << (len(left) - 1)
    rises, falls, distance = all_rows, 0, len(left)
    for token in right:
        equal = positions.get(token, 0)
        diagonal = (((equal & rises) + rises) ^ rises) | equal
        grows = falls | ~(diagonal | rises)
        shrinks = rises & diagonal
        distance += bool(grows & last_row) - bool(shrinks & last_row)
        grows = grows << 1 | 1
        vertical = equal | falls
        rises = (shrinks << 1 | ~(vertical | grows)) & all_rows
        falls = grows & vertical & all_rows
    return distance
