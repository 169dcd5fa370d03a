"""Clean a corpus of what spoils training: see `clean_corpus`.

Three passes, in memory that does not depend on the corpus: filters that look at one pair, with the
result of each in a file; duplicates, found on disk; and the survivors, scored and written.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from statistics import median
from typing import Any

from penstock.data.filters.candidate import Candidate
from penstock.data.filters.duplicates import DuplicateTable
from penstock.data.filters.filter_options import FilterOptions
from penstock.data.filters.filter_table import (
    DUPLICATE,
    FILTERS,
    NEAR,
    SCORE,
    UNUSABLE,
    Bounds,
    Find,
    length_ratio,
)
from penstock.data.formats.corpus_files import expand, shown
from penstock.data.formats.input_lines import BadLineError
from penstock.data.formats.readers import ReadOptions, Source, read_files
from penstock.data.formats.row_output import RowFile, check_row_file, open_rows
from penstock.errors import DataError, UsageError, unknown_name
from penstock.files import place, real_path, replacing, require_no_input

# mean log-probabilities of the targets' tokens
Score = Callable[[Sequence[tuple[str, str]]], Sequence[float]]

_HEAD = 10_000  # pairs that tell the usual ratio of lengths
_CHUNK = 1024  # pairs that are scored together
_EXAMPLES = 5
_LINE_BITS = 40  # the bits above are the number of the file


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that went out.

    Attributes:
        line: 1-based; of several files, as FILE:LINE.
        reason: the filter's name.
        detail: what it found.
        source, target: the texts; empty where the line cannot be read.
    """

    line: int | str
    reason: str
    detail: str
    source: str
    target: str


@dataclass
class Removal:
    """What one filter did.

    Attributes:
        bounds: its options.
        count: pairs that went out.
        examples: the first of them.
    """

    bounds: dict[str, Any]
    count: int = 0
    examples: list[Rejected] = field(default_factory=list[Rejected])


@dataclass
class CleaningReport:
    """The result of `clean_corpus`.

    Attributes:
        read: pairs and unusable lines of the input (a source with three targets is three pairs).
        kept: pairs written.
        usual_ratio: of a target's length to its source's; None without the filter `ratio`.
        removed: what each filter did that was on, in order.
        off: the filters that were off.
        cleaned_texts: texts in which a tab or line break became a space.
        out: the file of the kept pairs.
        rejected: the file of the others.
    """

    out: str
    rejected: str
    removed: dict[str, Removal]
    off: list[str]
    read: int = 0
    kept: int = 0
    usual_ratio: float | None = None
    cleaned_texts: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        return asdict(self)


def clean_corpus(
    source: Source,
    out: str | Path,
    *,
    rejected: str | Path,
    filters: FilterOptions | None = None,
    score: Score | None = None,
    options: ReadOptions | None = None,
) -> CleaningReport:
    """Write the pairs that pass all filters to one file and the others, with reasons, to another.

    The order is that of the input. `out` appears whole or not at all, and after `rejected`.

    Args:
        source: files of pairs, `-`, or two line-parallel files (see `read_pairs`).
        out: the pairs, as TSV or JSON lines by its suffix, packed with `.gz`, `.xz` or `.zst`.
        rejected: line, reason, detail, source and target of the others, likewise.
        filters: the bounds, and the filters that are off.
        score: computes what `filters.min_score` bounds.
        options: see `read_pairs`; unusable lines are rejected, unless `on_error` is `stop`.

    Raises:
        DataError: unreadable input, or no pair is left; `rejected` then says why.
        UsageError: an unknown filter, a name that is no output's, `min_score` without `score`.
    """
    filters = filters or FilterOptions()
    options = options or ReadOptions(on_error="skip")
    on = _filters_on(filters, score)
    for file in (out, rejected):
        check_row_file(file)
        require_no_input(file, expand(source))
    out, rejected = real_path(out), Path(rejected)
    if out == real_path(rejected):
        raise UsageError(f"{out}: kept and rejected pairs need two files")
    report = CleaningReport(
        out=str(out),
        rejected=str(rejected),
        removed={name: Removal(_bounds_of(name, filters)) for name in FILTERS if name in on},
        off=[name for name in FILTERS if name not in on],
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".clean-", dir=out.parent) as name:
            work = _Work(Path(name), report, filters, options)
            work.test(source)
            with (
                replacing(rejected) as partial,
                open_rows(partial, rejected) as others,
                open_rows(work.kept, out) as kept,
            ):
                work.write(kept, others, score)
            if not report.kept:
                what = f"none of {report.read:,} lines is left; {rejected} says why"
                raise DataError(f"{what}, and --without NAME leaves a filter out", path=out)
            place(work.kept, out)
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror or error}", path=out) from None
    return report


def _filters_on(filters: FilterOptions, score: Score | None) -> set[str]:
    """The names of the filters that are used.

    Raises:
        UsageError: an unknown name, or what belongs together is apart.
    """
    for name in filters.without:
        if name not in FILTERS or name == UNUSABLE:
            known = [each for each in FILTERS if each != UNUSABLE]
            raise UsageError(f"without: {unknown_name('filter', name, known)}")
    if (filters.min_score is None) != (score is None):
        raise UsageError("min_score and a model to compute scores belong together; give both")
    return {
        name
        for name, each in FILTERS.items()
        if name not in filters.without
        and (each.needs is None or getattr(filters, each.needs) is not None)
    }


def _bounds_of(name: str, filters: FilterOptions) -> dict[str, Any]:
    return {bound: getattr(filters, bound) for bound in FILTERS[name].bounds}


class _Work:
    """The passes over one corpus."""

    def __init__(
        self, folder: Path, report: CleaningReport, filters: FilterOptions, options: ReadOptions
    ) -> None:
        self.kept = folder / "kept"
        self._rows = folder / "rows"
        self._files: list[str] = []
        self._report = report
        self._bounds = Bounds(filters)
        self._options = options
        self._has_columns = options.choice.is_several
        exact, near = DUPLICATE in report.removed, NEAR in report.removed
        (folder / "duplicates").mkdir()
        self._duplicates = DuplicateTable(folder / "duplicates", exact=exact, near=near)
        self._find_duplicates = exact or near

    def test(self, source: Source) -> None:
        """Test each pair alone, and find duplicates among those that pass."""
        found = self._candidates(source)
        if "ratio" in self._report.removed:
            head = list(islice(found, _HEAD))
            ratios = [length_ratio(x.source, x.target) for x in head if isinstance(x, Candidate)]
            usual = round(median(ratios), 3) if ratios else 1.0
            self._bounds = Bounds(self._bounds.options, usual)
            self._report.usual_ratio = usual
            found = chain(head, found)
        on = self._report.removed
        finders = [(name, each.find) for name, each in FILTERS.items() if name in on and each.find]
        with self._rows.open("w", encoding="utf-8", newline="\n") as file:
            for row, pair in enumerate(found):
                each = pair if isinstance(pair, Rejected) else self._tested(pair, finders)
                if isinstance(pair, Candidate) and not each.reason and self._find_duplicates:
                    self._duplicates.add(row, pair)
                values = (each.line, each.reason, each.detail, each.source, each.target)
                file.write(json.dumps(values, ensure_ascii=False) + "\n")
                self._report.read += 1
        if not self._report.read:
            raise DataError("no sentence pairs found", path=shown(source))
        self._duplicates.search()

    def _tested(self, pair: Candidate, finders: Sequence[tuple[str, Find]]) -> Rejected:
        """A pair with what the first filter finds; without a reason, it passes."""
        for name, find in finders:
            if detail := find(pair, self._bounds):
                return Rejected(pair.line, name, detail, pair.source, pair.target)
        return Rejected(pair.line, "", "", pair.source, pair.target)

    def _candidates(self, source: Source) -> Iterator[Candidate | Rejected]:
        for number, (file, records) in enumerate(read_files(source, self._options)):
            self._files.append(file)
            first = number << _LINE_BITS
            for record in records:
                if isinstance(record, BadLineError):
                    if self._options.on_error == "stop":
                        raise record
                    yield Rejected(first + (record.line or 0), UNUSABLE, str(record), "", "")
                else:
                    line, text = first + record.line, record.source
                    for target in record.targets:
                        yield Candidate(line, text, target, self._has_columns)

    def _place(self, line: int, word: str = "") -> int | str:
        """A line as people read it: a number behind `word`; of several files, FILE:LINE."""
        number = line % (1 << _LINE_BITS)
        if len(self._files) > 1:
            return f"{self._files[line >> _LINE_BITS]}:{number}"
        return f"{word}{number}" if word else number

    def write(self, kept: RowFile, others: RowFile, score: Score | None) -> None:
        """Write all rows, in order."""
        columns = len(self._options.choice.flat) - 1
        sources = ["source"] if columns == 1 else [f"source {n + 1}" for n in range(columns)]
        others.write_header("line", "reason", "detail", *sources, "target")
        rows = self._decided()
        while chunk := list(islice(rows, _CHUNK)):
            for each in self._scored(chunk, score):
                cells = each.source.split("\t", columns - 1) if self._has_columns else [each.source]
                texts = {**dict(zip(sources, cells, strict=False)), "target": each.target}
                if each.reason:
                    removal = self._report.removed[each.reason]
                    removal.count += 1
                    if len(removal.examples) < _EXAMPLES:
                        removal.examples.append(each)
                    about = {"line": each.line, "reason": each.reason, "detail": each.detail}
                    others.write({**about, **texts})
                else:
                    self._report.kept += 1
                    kept.write(texts)
        self._report.cleaned_texts = kept.cleaned

    def _decided(self) -> Iterator[Rejected]:
        """All rows, duplicates among the rejected."""
        with self._rows.open(encoding="utf-8", newline="\n") as file:
            for row, text in enumerate(file):
                line, *others = json.loads(text)
                each = Rejected(self._place(line), *others)
                if not each.reason and (found := self._duplicates.find(row)):
                    name = NEAR if found.is_near else DUPLICATE
                    first = self._place(found.first_line, "line ")
                    each = replace(each, reason=name, detail=f"as in {first}")
                yield each

    def _scored(self, chunk: list[Rejected], score: Score | None) -> Iterable[Rejected]:
        if score is None or SCORE not in self._report.removed:
            return chunk
        left = [i for i, each in enumerate(chunk) if not each.reason]
        scores = score([(chunk[i].source, chunk[i].target) for i in left])
        least = self._bounds.options.min_score or 0.0
        for i, value in zip(left, scores, strict=True):
            if value < least:
                detail = f"{value:.2f} per token"
                chunk[i] = replace(chunk[i], reason=SCORE, detail=detail)
        return chunk
