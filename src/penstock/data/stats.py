"""Statistics of a corpus: tokens per sequence, vocabulary size, unknown rate.

The histogram of tokens per sequence is the chapter's
(https://d2l.ai/chapter_recurrent-modern/machine-translation-and-dataset.html). Memory grows with
the vocabulary, not with the corpus.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from penstock.data.formats.corpus_files import shown
from penstock.data.formats.readers import ReadOptions, Source, read_pairs
from penstock.errors import DataError
from penstock.figure import check_figure_name, empty_figure, save_figure

Tokenize = Callable[[str], list[str]]

MIN_FREQUENCIES = (1, 2, 3, 5, 10)

_BINS = 12
_BEFORE_MARK = re.compile(r"(?<=[^ ])([,.!?])")


@dataclass(frozen=True, kw_only=True)
class Cutoff:
    """The effect of a minimum frequency on the vocabulary.

    Args:
        min_frequency: rarer tokens are unknown.
        vocab_size: tokens that remain.
        unknown_rate: share of unknown running tokens in the held-out file, if there is one.
    """

    min_frequency: int
    vocab_size: int
    unknown_rate: float | None


@dataclass(frozen=True, kw_only=True)
class SideStats:
    """One side of a corpus.

    Args:
        tokens: running tokens.
        mean: tokens per sequence, as the next three.
        median: 50th percentile.
        p99: 99th percentile.
        longest: maximum.
        lengths: number of sequences by number of tokens.
        cutoffs: one for each of `MIN_FREQUENCIES`.
    """

    tokens: int
    mean: float
    median: int
    p99: int
    longest: int
    lengths: dict[int, int]
    cutoffs: tuple[Cutoff, ...]


@dataclass(frozen=True, kw_only=True)
class CorpusStats:
    """Both sides; a source with several targets counts once on its own side."""

    pairs: int
    source: SideStats
    target: SideStats

    def to_dict(self) -> dict[str, Any]:
        """The statistics as plain data, for JSON."""
        return asdict(self)

    def histogram(self) -> list[tuple[int, int, int, int]]:
        """Rows of (fewest tokens, most tokens, source sequences, target sequences).

        The last row has all sequences above the 99th percentile, so that a single outlier does not
        squeeze the rest into one row.
        """
        usual = max(self.source.p99, self.target.p99)
        longest = max(self.source.longest, self.target.longest)
        width = _round_width(usual / _BINS)
        starts = list(range(0, usual + 1, width))
        ends = [start + width for start in starts]
        if longest >= ends[-1]:
            starts.append(ends[-1])
            ends.append(longest + 1)
        return [
            (
                start,
                end - 1,
                _between(self.source.lengths, start, end),
                _between(self.target.lengths, start, end),
            )
            for start, end in zip(starts, ends, strict=True)
        ]


def split_words(text: str) -> list[str]:
    """The chapter's tokens: lower case, no-break spaces as spaces, `,.!?` as separate tokens."""
    text = text.replace("\u202f", " ").replace("\u00a0", " ").lower()
    return _BEFORE_MARK.sub(r" \1", text).split()


def corpus_stats(
    source: Source,
    *,
    held_out: Source | None = None,
    tokenize: Tokenize = split_words,
    options: ReadOptions | None = None,
) -> CorpusStats:
    """Read a corpus once and count its tokens.

    Args:
        source: files of pairs, or two line-parallel files (see `read_pairs`).
        held_out: a file to measure the share of unknown tokens of.
        tokenize: splits both sides into tokens.
        options: see `read_pairs`.

    Raises:
        DataError: the corpus or the held-out file has no pairs.
    """
    options = options or ReadOptions()
    pairs, sides = _count(source, options, tokenize)
    unseen: Sequence[_Side | None] = (None, None)
    if held_out is not None:
        _, unseen = _count(held_out, replace(options, max_pairs=None), tokenize)
    measured = [side.measure(other) for side, other in zip(sides, unseen, strict=True)]
    return CorpusStats(pairs=pairs, source=measured[0], target=measured[1])


def draw_lengths(stats: CorpusStats, path: str | Path) -> None:
    """Draw the histogram of tokens per sequence into an SVG, PNG or PDF file.

    Raises:
        MissingExtraError: matplotlib is not installed.
        UsageError: another suffix.
        PenstockError: the file cannot be written.
    """
    path = Path(path)
    check_figure_name(path)
    rows = stats.histogram()
    figure = empty_figure(6.4, 3.6)
    axes = figure.subplots()
    width = rows[0][1] - rows[0][0] + 1
    starts = [row[0] for row in rows]
    offset = 0.42 * width
    axes.bar(starts, [row[2] for row in rows], offset, align="edge", label="source")
    shifted = [start + offset for start in starts]
    axes.bar(shifted, [row[3] for row in rows], offset, align="edge", label="target", hatch="//")
    open_end = rows[-1][1] - rows[-1][0] >= width
    labels = [f"{start}+" if open_end and start == starts[-1] else f"{start}" for start in starts]
    axes.set_xticks(starts, labels)
    axes.set_xlabel("tokens per sequence")
    axes.set_ylabel("sequences")
    axes.legend()
    save_figure(figure, path)


class _Side:
    """Token counts of one side of a file."""

    def __init__(self) -> None:
        self.tokens: Counter[str] = Counter()
        self.lengths: Counter[int] = Counter()

    def add(self, tokens: list[str]) -> None:
        self.tokens.update(tokens)
        self.lengths[len(tokens)] += 1

    def measure(self, unseen: _Side | None) -> SideStats:
        sequences, total = sum(self.lengths.values()), self.tokens.total()
        return SideStats(
            tokens=total,
            mean=total / sequences,
            median=_quantile(self.lengths, 0.5),
            p99=_quantile(self.lengths, 0.99),
            longest=max(self.lengths),
            lengths=dict(sorted(self.lengths.items())),
            cutoffs=tuple(self._cut(frequency, unseen) for frequency in MIN_FREQUENCIES),
        )

    def _cut(self, min_frequency: int, unseen: _Side | None) -> Cutoff:
        size = sum(1 for count in self.tokens.values() if count >= min_frequency)
        rate = None
        if unseen is not None:
            unknown = (
                count
                for token, count in unseen.tokens.items()
                if self.tokens[token] < min_frequency
            )
            rate = sum(unknown) / max(unseen.tokens.total(), 1)
        return Cutoff(min_frequency=min_frequency, vocab_size=size, unknown_rate=rate)


def _count(source: Source, options: ReadOptions, tokenize: Tokenize) -> tuple[int, list[_Side]]:
    sides = [_Side(), _Side()]
    count = 0
    for pair in read_pairs(source, options):
        sides[0].add(tokenize(pair.source))
        for target in pair.targets:
            count += 1
            sides[1].add(tokenize(target))
    if not count:
        raise DataError("no pairs to count", path=shown(source))
    return count, sides


def _quantile(lengths: Counter[int], share: float) -> int:
    wanted, passed = share * sum(lengths.values()), 0
    for length in sorted(lengths):
        passed += lengths[length]
        if passed >= wanted:
            return length
    return 0


def _between(lengths: dict[int, int], start: int, end: int) -> int:
    return sum(count for length, count in lengths.items() if start <= length < end)


def _round_width(least: float) -> int:
    """The least of 1, 2, 5, 10, 20, … that is at least this."""
    scale = 1
    while True:
        for step in (1, 2, 5):
            if step * scale >= least:
                return step * scale
        scale *= 10
