"""Checks of a corpus for what spoils training or scores: see `CorpusReport`.

One pass keeps two 8-byte hashes, two lengths and a line number per pair: 32 bytes, or about 100
while they are sorted at the end.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.data.formats.corpus_files import shown
from penstock.data.formats.input_lines import BadLineError
from penstock.data.formats.readers import ReadOptions, Source, read_files
from penstock.data.formats.records import EmptySideError
from penstock.data.pair import Pair
from penstock.data.source_keys import fold

LISTED = 10
_LINE_BITS = 40
OUTLIER_SPREADS = 5.0  # in robust standard deviations of the logarithm

ODD_CHARACTERS = {
    "\u00a0": "U+00A0 no-break space",
    "\u202f": "U+202F narrow no-break space",
    "\u2009": "U+2009 thin space",
    "\u200b": "U+200B zero width space",
    "\u2019": "U+2019 right single quotation mark",
    "\u00ad": "U+00AD soft hyphen",
}

_ODD = re.compile(f"[{''.join(ODD_CHARACTERS)}]")
_SCRIPTS = {
    "Latin": re.compile("[A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff]"),
    "Cyrillic": re.compile("[\u0400-\u052f]"),
    "Greek": re.compile("[\u0370-\u03ff\u1f00-\u1fff]"),
    "Armenian": re.compile("[\u0530-\u058f]"),
}
_NOT_LATIN = re.compile("[\u0370-\u052f\u0530-\u058f\u1f00-\u1fff]")
_WORD = re.compile(r"[^\W\d_]+")


@dataclass
class Finding:
    """Occurrences of one kind of problem.

    Args:
        count: occurrences; a line may have several.
        lines: the first ten lines; of several files, as FILE:LINE.
        more: whether there are more lines.
        examples: the offending texts, where line numbers alone say little.
    """

    count: int = 0
    lines: list[int | str] = field(default_factory=list[int | str])
    more: bool = False
    examples: list[str] = field(default_factory=list[str])

    def add(self, line: int, example: str | None = None, *, times: int = 1) -> None:
        """Add an occurrence; the first ten are listed."""
        self.count += times
        self.more = len(self.lines) == LISTED
        if not self.more:
            self.lines.append(line)
            if example is not None:
                self.examples.append(example)


@dataclass
class Leakage:
    """Overlap of a held-out file with the training data, ignoring case and spacing.

    Args:
        file: the held-out file.
        sentences: its distinct sources.
        unusable: its lines that cannot be read.
        sources: those of its sources that are also in the training data.
        train_sources: the training pairs with such a source.
        train_targets: the training pairs with a target of a held-out source.
    """

    file: str
    sentences: int
    unusable: int
    sources: int
    train_sources: Finding
    train_targets: Finding


@dataclass
class CorpusReport:
    """The result of `check_corpus`; every finding has line numbers.

    Args:
        pairs: pairs read (a source with three targets counts three times).
        sources: distinct sources.
        empty: pairs with an empty side.
        unusable: other lines that cannot be read, with the reason.
        duplicate_pairs: exact repetitions of an earlier pair.
        repeated_sources: pairs whose source occurred before, with any target.
        several_targets: sources with more than one distinct target.
        long_sources: sources far longer than the others (in characters).
        long_targets: targets far longer than the others.
        ratio_outliers: pairs with an unusual ratio of lengths.
        odd_characters: by side and character.
        mixed_scripts: words that mix Latin, Cyrillic, Greek or Armenian letters.
        leakage: one for each held-out file.
    """

    pairs: int = 0
    sources: int = 0
    empty: Finding = field(default_factory=Finding)
    unusable: Finding = field(default_factory=Finding)
    duplicate_pairs: Finding = field(default_factory=Finding)
    repeated_sources: Finding = field(default_factory=Finding)
    several_targets: Finding = field(default_factory=Finding)
    long_sources: Finding = field(default_factory=Finding)
    long_targets: Finding = field(default_factory=Finding)
    ratio_outliers: Finding = field(default_factory=Finding)
    odd_characters: dict[str, Finding] = field(default_factory=dict[str, Finding])
    mixed_scripts: Finding = field(default_factory=Finding)
    leakage: list[Leakage] = field(default_factory=list[Leakage])

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        return asdict(self)


class _Columns:
    """The data kept of every pair."""

    def __init__(self) -> None:
        self.sources = array("q")
        self.targets = array("q")
        self.source_lengths = array("I")
        self.target_lengths = array("I")
        self.lines = array("Q")

    def add(self, source: str, target: str, line: int) -> None:
        # hash() differs between runs, which does not matter within one
        self.sources.append(hash(source))
        self.targets.append(hash(target))
        self.source_lengths.append(len(source))
        self.target_lengths.append(len(target))
        self.lines.append(line)


def check_corpus(
    source: Source,
    *,
    held_out: Sequence[Source] = (),
    options: ReadOptions | None = None,
) -> CorpusReport:
    """Read a corpus once and report its problems.

    Args:
        source: files of pairs, or two line-parallel files (see `read_pairs`).
        held_out: validation and test files to compare with the corpus; read with the same options.
        options: see `read_pairs`. With `on_error="skip"` unusable lines are findings.
    """
    options = options or ReadOptions(on_error="skip")
    report = CorpusReport()
    leaks = [_HeldOut(file, options) for file in held_out]
    columns, files = _Columns(), list[str]()
    for pair in _usable(source, options, report, files):
        for target in pair.targets:
            columns.add(pair.source, target, pair.line)
        _check_characters(pair, report)
        for leak in leaks:
            leak.compare(pair)
    report.pairs = len(columns.lines)
    if report.pairs:
        _find_repetitions(columns, report)
        _find_outliers(columns, report)
    report.leakage = [leak.result() for leak in leaks]
    if len(files) > 1:
        _name_files(report, files)
    return report


def _name_files(report: CorpusReport, files: Sequence[str]) -> None:
    """Turn the lines of several files into FILE:LINE."""
    own = [value for value in vars(report).values() if isinstance(value, Finding)]
    leaks = [f for leak in report.leakage for f in (leak.train_sources, leak.train_targets)]
    for finding in (*own, *report.odd_characters.values(), *leaks):
        lines = [int(line) for line in finding.lines]
        finding.lines = [f"{files[n >> _LINE_BITS]}:{n % (1 << _LINE_BITS)}" for n in lines]


def _usable(
    source: Source, options: ReadOptions, report: CorpusReport, files: list[str]
) -> Iterable[Pair]:
    """The pairs; the upper bits of a line number are that of the file, which `files` lists."""
    read = 0
    for number, (file, records) in enumerate(read_files(source, options)):
        files.append(file)
        first = number << _LINE_BITS
        for record in records:
            if isinstance(record, BadLineError):
                if options.on_error == "stop":
                    raise record
                empty = isinstance(record, EmptySideError)
                finding = report.empty if empty else report.unusable
                finding.add(first + (record.line or 0), str(record))
                continue
            yield replace(record, line=first + record.line) if number else record
            read += 1
            if read == options.max_pairs:
                return


class _HeldOut:
    """The sentences of a held-out file, and their occurrences in the training data."""

    def __init__(self, file: Source, options: ReadOptions) -> None:
        self._name = shown(file)
        self._read = CorpusReport()
        self._sources: set[int] = set()
        self._targets: set[int] = set()
        self._seen: set[int] = set()
        self._train_sources = Finding()
        self._train_targets = Finding()
        for pair in _usable(file, replace(options, max_pairs=None), self._read, []):
            self._sources.add(hash(fold(pair.source)))
            self._targets.update(hash(fold(target)) for target in pair.targets)

    def compare(self, pair: Pair) -> None:
        """Look up a training pair's texts among the held-out ones."""
        source = hash(fold(pair.source))
        if source in self._sources:
            self._seen.add(source)
            self._train_sources.add(pair.line, pair.source)
        for target in pair.targets:
            if hash(fold(target)) in self._targets:
                self._train_targets.add(pair.line, target)

    def result(self) -> Leakage:
        """The overlap, once all training data has been compared."""
        return Leakage(
            file=self._name,
            sentences=len(self._sources),
            unusable=self._read.empty.count + self._read.unusable.count,
            sources=len(self._seen),
            train_sources=self._train_sources,
            train_targets=self._train_targets,
        )


def _check_characters(pair: Pair, report: CorpusReport) -> None:
    sides = [("source", pair.source), *(("target", target) for target in pair.targets)]
    for side, text in sides:
        if text.isascii():
            continue
        odd = _ODD.findall(text)
        for character in dict.fromkeys(odd):
            name = f"{side}: {ODD_CHARACTERS[character]}"
            finding = report.odd_characters.setdefault(name, Finding())
            finding.add(pair.line, times=odd.count(character))
        if _NOT_LATIN.search(text):
            for word in _WORD.findall(text):
                scripts = [name for name, letters in _SCRIPTS.items() if letters.search(word)]
                if len(scripts) > 1:
                    report.mixed_scripts.add(pair.line, f"{word} ({', '.join(scripts)})")


def _find_repetitions(columns: _Columns, report: CorpusReport) -> None:
    sources = np.frombuffer(columns.sources, dtype=np.int64)
    targets = np.frombuffer(columns.targets, dtype=np.int64)
    lines = np.frombuffer(columns.lines, dtype=np.uint64)
    order = np.lexsort((targets, sources))  # stable: of equal texts the first comes first
    new_source = np.ones(len(order), dtype=bool)
    new_source[1:] = np.diff(sources[order]) != 0
    new_pair = new_source.copy()
    new_pair[1:] |= np.diff(targets[order]) != 0
    report.sources = int(new_source.sum())
    report.duplicate_pairs = _finding(lines[order[~new_pair]])
    groups = np.cumsum(new_source) - 1
    first = np.full(report.sources, len(order))
    np.minimum.at(first, groups, order)
    repeated = np.ones(len(order), dtype=bool)
    repeated[first] = False
    report.repeated_sources = _finding(lines[repeated])
    distinct = np.bincount(groups, weights=new_pair)
    report.several_targets = _finding(lines[first[distinct > 1]])


def _find_outliers(columns: _Columns, report: CorpusReport) -> None:
    lines = np.frombuffer(columns.lines, dtype=np.uint64)
    # + 5: a character more or less means little in very short texts
    source = np.log(np.frombuffer(columns.source_lengths, dtype=np.uint32) + 5.0)
    target = np.log(np.frombuffer(columns.target_lengths, dtype=np.uint32) + 5.0)
    report.long_sources = _finding(lines[_deviation(source) > OUTLIER_SPREADS])
    report.long_targets = _finding(lines[_deviation(target) > OUTLIER_SPREADS])
    report.ratio_outliers = _finding(lines[np.abs(_deviation(target - source)) > OUTLIER_SPREADS])


def _deviation(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance from the median in robust standard deviations (1.4826 times the MAD)."""
    away = values - np.median(values)
    spread = 1.4826 * float(np.median(np.abs(away)))
    return away / max(spread, 0.1)  # uniform data would make outliers of tiny differences


def _finding(lines: NDArray[np.uint64]) -> Finding:
    return Finding(len(lines), np.sort(lines)[:LISTED].tolist(), len(lines) > LISTED)
