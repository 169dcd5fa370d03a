"""A source of several columns: `lemma<TAB>V;PST;3;SG`, its features symbols of their own.

A tab separates the columns. It has an id of its own, and so has every feature, so neither can be
taken for text: the feature `N` and the letter `N` differ.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Self, TypeVar, final

from penstock.config.json_types import are_texts, is_array, is_object
from penstock.errors import DataError
from penstock.special_tokens import UNK_ID

COLUMN_SEPARATOR = "\t"
DELIMITERS = (";", "|", "+", ",")

_SHOWN_SEPARATOR = "⇥"
_SAMPLE = 20_000  # sources in which columns of features are looked for
_USES = 5
_MOST_LABELS, _LABEL_USES = 30, 50
_SPACE = re.compile(r"\s")

T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True)
class InputColumns:
    """The columns of a source, and the symbols in them.

    Attributes:
        names: of the columns, as the user chose them.
        features: positions of the columns that hold features, from 1.
        delimiter: what divides the features of a column.
        symbols: known features, the most frequent first.
    """

    names: tuple[str, ...]
    features: tuple[int, ...] = ()
    delimiter: str = ";"
    symbols: tuple[str, ...] = ()
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "_ids", {s: i for i, s in enumerate((COLUMN_SEPARATOR, *self.symbols))}
        )

    @classmethod
    def learn(
        cls,
        names: Sequence[str],
        texts: Iterable[str],
        *,
        features: Sequence[int] | None = None,
        delimiter: str = ";",
        min_frequency: int = 1,
    ) -> Self:
        """Collect the features of training texts.

        Args:
            names: of the columns.
            texts: sources, their columns separated by tabs.
            features: positions of the columns that hold features; None: see `find_features`.
            delimiter: of `features`.
            min_frequency: rarer features are unknown.

        Raises:
            DataError: a text with more or fewer columns.
        """
        rows = map(cls(tuple(names)).cells, texts)
        if features is None:
            sample = list(islice(rows, _SAMPLE))
            features, delimiter = find_features(sample)
            rows = chain(sample, rows)
        counts = Counter(
            part
            for row in rows
            for position in features
            for part in _parts(row[position - 1], delimiter)
        )
        known = [part for part, count in counts.items() if count >= min_frequency]
        known.sort(key=lambda part: (-counts[part], part))
        return cls(tuple(names), tuple(features), delimiter, tuple(known))

    @property
    def size(self) -> int:
        """Number of ids: the separator's, then one per feature."""
        return 1 + len(self.symbols)

    def shown(self) -> list[str]:
        """The symbols by id, for display."""
        return [_SHOWN_SEPARATOR, *self.symbols]

    def cells(self, text: str) -> list[str]:
        """Split a source into its columns; a text without separator, as a target is, stays whole.

        Raises:
            DataError: more or fewer columns.
        """
        found = text.split(COLUMN_SEPARATOR)
        if len(found) not in (1, len(self.names)):
            raise DataError(self._wrong_number(len(found)))
        return found

    def check(self, texts: Iterable[str]) -> None:
        """Check that each source has all columns; a blank line passes.

        Raises:
            DataError: a text, named by its line, has more or fewer.
        """
        for number, text in enumerate(texts, start=1):
            count = text.count(COLUMN_SEPARATOR) + 1
            if count != len(self.names) and text.strip():
                raise DataError(self._wrong_number(count), line=number)

    def weave(
        self, text: str, of_cell: Callable[[str], Sequence[T]], of_symbol: Callable[[str], T]
    ) -> list[T]:
        """What a text becomes: its plain columns by `of_cell`, what stands between by `of_symbol`.

        Args:
            text: a source.
            of_cell: a column of text to items.
            of_symbol: the separator or a feature to an item.
        """
        items: list[T] = []
        cells = self.cells(text)
        for position, cell in enumerate(cells, start=1):
            if position > 1:
                items.append(of_symbol(COLUMN_SEPARATOR))
            if position in self.features and len(cells) > 1:
                items += [of_symbol(part) for part in _parts(cell, self.delimiter)]
            else:
                items += of_cell(cell)
        return items

    def plain_cells(self, text: str) -> list[str]:
        """The columns of a text without features."""
        cells = self.cells(text)
        if len(cells) == 1:
            return cells
        return [cell for i, cell in enumerate(cells, start=1) if i not in self.features]

    def id_of(self, symbol: str, first: int) -> int:
        """The id of a symbol, where `first` is the separator's; unknown features are `<unk>`."""
        return first + self._ids[symbol] if symbol in self._ids else UNK_ID

    def to_plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "names": list(self.names),
            "features": list(self.features),
            "delimiter": self.delimiter,
            "symbols": list(self.symbols),
        }

    @classmethod
    def from_plain(cls, content: Any) -> Self:
        """Read and check the result of `to_plain`.

        Raises:
            ValueError: it is damaged.
        """
        if is_object(content):
            names, symbols = content.get("names"), content.get("symbols")
            features, delimiter = content.get("features"), content.get("delimiter")
            if (
                are_texts(names)
                and len(names) > 1
                and are_texts(symbols)
                and len(set(symbols)) == len(symbols)
                and COLUMN_SEPARATOR not in "".join(symbols)
                and is_array(features)
                and all(type(f) is int and 1 <= f <= len(names) for f in features)
                and are_texts([delimiter])
            ):
                return cls(tuple(names), tuple(map(int, features)), str(delimiter), tuple(symbols))
        raise ValueError("damaged tokenizer: its columns are not names, features and symbols")

    def _wrong_number(self, found: int) -> str:
        return (
            f"expected {len(self.names)} columns, found {found}; give {' and '.join(self.names)} "
            "as in the training data, separated by a tab"
        )


def find_features(rows: Iterable[Sequence[str]]) -> tuple[tuple[int, ...], str]:
    """Find the columns of a source that hold features, and what divides the features of a cell.

    No cell of such a column has a space. Either at least half the cells hold several features, and
    a feature occurs five times on average; or the column has few labels, such as parts of speech
    or languages. One column at least is text.

    Args:
        rows: cells of the source's columns.

    Returns:
        positions from 1, and the delimiter.
    """
    columns = list(zip(*rows, strict=True))
    dividers = {i: found for i, cells in enumerate(columns, 1) if (found := _divider(cells))}
    labels = [i for i, cells in enumerate(columns, 1) if i not in dividers and _are_labels(cells)]
    (delimiter, _), *_ = Counter(dividers.values()).most_common(1) or [(DELIMITERS[0], 0)]
    features = [i for i, found in dividers.items() if found == delimiter]
    if len(features) + len(labels) < len(columns):
        features += labels
    return (tuple(sorted(features)) if len(features) < len(columns) else ()), delimiter


def _divider(cells: Sequence[str]) -> str | None:
    """What divides the features of a column; None if it holds no bundles of them."""
    if any(map(_SPACE.search, cells)):
        return None
    for delimiter in DELIMITERS:
        several = sum(delimiter in cell for cell in cells)
        parts = [part for cell in cells for part in _parts(cell, delimiter)]
        if 2 * several >= len(cells) and len(parts) >= _USES * len(set(parts)):
            return delimiter
    return None


def _are_labels(cells: Sequence[str]) -> bool:
    labels = set(cells)
    few = 1 < len(labels) <= _MOST_LABELS and len(cells) >= _LABEL_USES * len(labels)
    return few and not any(map(_SPACE.search, labels))


def _parts(cell: str, delimiter: str) -> Iterator[str]:
    return (part for part in cell.strip().split(delimiter) if part)
