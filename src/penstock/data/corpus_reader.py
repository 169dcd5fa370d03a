"""The examples of a corpus, read as `[data]` says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

from penstock.config import DataConfig
from penstock.data.formats.column_choice import as_columns
from penstock.data.formats.corpus_files import Names, read_text, shown
from penstock.data.formats.readers import ReadOptions, read_pairs
from penstock.data.pair import Pair
from penstock.text import letters_only
from penstock.text.lines import is_blank

Report = Callable[[str], None]


def read_corpus(
    names: Names,
    data: DataConfig,
    report: Report,
    *,
    has_one_text: bool = False,
    max_pairs: int | None = None,
) -> Iterator[Pair]:
    """The pairs of a corpus, or the lines of a text, each with an empty target.

    Raises:
        DataError: unreadable data.
    """
    if has_one_text:
        lines = (line for line in read_text(names) if not is_blank(line.text))
        pairs = islice((Pair(x.text, ("",), x.number) for x in lines), max_pairs)
    else:
        options = ReadOptions(
            columns=None if data.read_columns is None else as_columns(data.read_columns),
            header=data.header,
            on_error=data.on_error,
            max_pairs=max_pairs,
            report=report,
        )
        pairs = read_pairs(names, options)
    return pairs if data.normalize == "none" else _letters_only(pairs, shown(names), report)


def _letters_only(pairs: Iterator[Pair], name: str, report: Report) -> Iterator[Pair]:
    """Reduce sources to letters; omit pairs without any and report their number."""
    omitted = 0
    for pair in pairs:
        source = letters_only(pair.source)
        if source:
            yield replace(pair, source=source)
        else:
            omitted += 1
    if omitted:
        report(f"{name}: {omitted:,} texts without a letter were left out (data.normalize)")
