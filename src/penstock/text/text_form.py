"""What happens to text before a tokenizer splits it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self, final

from penstock.config.json_types import is_object
from penstock.text.input_columns import COLUMN_SEPARATOR, InputColumns
from penstock.text.letter_case import LetterCase, Reading
from penstock.text.unicode_form import PLAIN, UnicodeForm

_PARTS = ("unicode", "columns", "case")


@final
@dataclass(frozen=True, slots=True)
class TextForm:
    """The Unicode form, columns and letter case of a tokenizer's text.

    Attributes:
        unicode: applied when encoding, undone when decoding.
        columns: of a source with several; None: text is one piece.
        case: what a translator or classifier does with lines in other case than the training text;
            None: nothing.
    """

    unicode: UnicodeForm = PLAIN
    columns: InputColumns | None = None
    case: LetterCase | None = None

    def cells(self, text: str) -> list[str]:
        """The columns of a text that are split into tokens, in the model's Unicode form.

        Raises:
            DataError: the text has more or fewer columns.
        """
        cells = [text] if self.columns is None else self.columns.plain_cells(text)
        return [self.unicode.apply(cell) for cell in cells]

    def check(self, lines: Iterable[str]) -> None:
        """Check that each source has the columns that the model reads.

        Raises:
            DataError: a line, by its number, has more or fewer.
        """
        if self.columns is not None:
            self.columns.check(lines)

    def without_features(self, line: str) -> tuple[str, str]:
        """The features at the head of a source, with their separators, and the text behind them.

        No features where another column is text too.
        """
        columns = self.columns
        if columns is None or len(columns.features) != len(columns.names) - 1:
            return "", line
        if len(columns.names) in columns.features:
            return "", line
        features, separator, text = line.rpartition(COLUMN_SEPARATOR)
        return f"{features}{separator}", text

    def trimmed(self, line: str) -> str:
        """A source without white space around it; tabs that separate columns stay."""
        return line.strip() if self.columns is None else line.strip(" \r\n")

    def read(self, line: str, keep: Sequence[str] = ()) -> Reading:
        """A line in the case of the training text; features stay (see `LetterCase.read`)."""
        if self.case is None:
            return Reading(line)
        if self.columns is None or not self.columns.features:
            return self.case.read(line, keep)
        cells = self.columns.cells(line)
        if len(cells) == 1:
            return self.case.read(line, keep)
        plain = [i for i in range(len(cells)) if i + 1 not in self.columns.features]
        reading = self.case.read(COLUMN_SEPARATOR.join(cells[i] for i in plain), keep)
        for i, cell in zip(plain, reading.text.split(COLUMN_SEPARATOR), strict=True):
            cells[i] = cell
        return Reading(COLUMN_SEPARATOR.join(cells), reading.capitals)

    def to_plain(self) -> dict[str, Any]:
        """What differs from plain text, as JSON has it; empty for plain text."""
        plain: dict[str, Any] = {}
        if self.unicode != PLAIN:
            plain["unicode"] = self.unicode.to_plain()
        if self.columns is not None:
            plain["columns"] = self.columns.to_plain()
        if self.case is not None:
            plain["case"] = self.case.to_plain()
        return plain

    @classmethod
    def from_plain(cls, content: Any) -> Self:
        """Read and check the result of `to_plain`.

        Raises:
            ValueError: it is damaged.
        """
        if not is_object(content) or not content.keys() <= set(_PARTS):
            raise ValueError("damaged tokenizer: its form is not one")
        unicode, columns, case = (content.get(part) for part in _PARTS)
        return cls(
            PLAIN if unicode is None else UnicodeForm.from_plain(unicode),
            None if columns is None else InputColumns.from_plain(columns),
            None if case is None else LetterCase.from_plain(case),
        )
