"""The evaluation data selected on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

from penstock.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.config import DataConfig
    from penstock.data.formats.column_choice import Header
    from penstock.data.pair import Pair


@dataclass(frozen=True, slots=True)
class DataSelection:
    """The examples to evaluate on (see `EvaluationData`).

    Attributes:
        data: files, or two line-parallel ones.
        columns: source and target columns as the user wrote them.
        header: whether the first row is a header.
        on_error: what to do with unusable lines.
        first: number of examples to use; None for all.
        after: number of examples to skip, together with later ones that share their sources.
        model: path of the evaluated model.
        trained: data section of its configuration; of a source with several columns it says which.
    """

    data: list[str]
    columns: str | None = None
    header: Header = "auto"
    on_error: Literal["stop", "skip"] = "stop"
    first: int | None = None
    after: int = 0
    model: str | None = None
    trained: DataConfig | None = None

    @property
    def path(self) -> str:
        """The file that messages name."""
        return self.data[0]

    def pairs(self) -> Iterator[Pair]:
        """Read the selected pairs."""
        from penstock.cli.data import read_options
        from penstock.data.formats.corpus_files import is_parallel
        from penstock.data.formats.readers import read_pairs
        from penstock.data.source_keys import fold

        options = read_options(self.columns, self.on_error, self.header)
        if self.trained is not None and not is_parallel(self.data):
            options = options.as_trained(self.trained)
        pairs = read_pairs(self.data, options)
        before = {fold(pair.source) for pair in islice(pairs, self.after)}
        rest = (pair for pair in pairs if fold(pair.source) not in before)
        return islice(rest, self.first)

    def lines(self) -> Iterator[str]:
        """Read the selected lines of a text.

        Raises:
            UsageError: a file of pairs, columns, or lines to skip.
        """
        from penstock.data.formats.corpus_files import read_text

        if self.columns is not None:
            raise UsageError("--columns: this model reads plain text, which has none; leave it out")
        if self.on_error == "skip":
            raise UsageError(
                "--on-error skip: this model reads the whole text; fix the unusable lines"
            )
        texts = (line.text for line in read_text(self.data))
        return islice(texts, self.after, None if self.first is None else self.after + self.first)
