"""The evaluation data selected on the command line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from penstock.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.config import DataConfig
    from penstock.data.formats.column_choice import Header
    from penstock.data.formats.readers import ReadOptions
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
        language_column: column with the language of each target, as the user wrote it; default: as
            in training.
        to: the language of all targets, for which no column is read.
    """

    data: list[str]
    columns: str | None = None
    header: Header = "auto"
    on_error: Literal["stop", "skip"] = "stop"
    first: int | None = None
    after: int = 0
    model: str | None = None
    trained: DataConfig | None = None
    language_column: str | None = None
    to: str | None = None

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
        if self.language_column is not None:
            options = self._with_languages(options)
        elif self.to is None and self.trained is not None and not is_parallel(self.data):
            options = options.as_trained(self.trained)
        pairs = read_pairs(self.data, options)
        before = {fold(pair.source) for pair in islice(pairs, self.after)}
        rest = (pair for pair in pairs if fold(pair.source) not in before)
        return islice(rest, self.first)

    def _with_languages(self, options: ReadOptions) -> ReadOptions:
        """Options that read the language first.

        Raises:
            UsageError: all targets have one language.
        """
        from penstock.cli.column_flags import number_or_name
        from penstock.data.formats.column_choice import as_columns

        if self.to is not None:
            raise UsageError("--to and --language-column: give one of them")
        if self.trained is None or self.trained.language_column is None:
            raise UsageError(
                f"--language-column: {self.model} has one target language; leave it out"
            )
        changed: dict[str, Any] = {"language_column": number_or_name(self.language_column)}
        if options.columns is not None:
            source, target = options.columns
            changed["columns"] = [list(source) if isinstance(source, tuple) else source, target]
        read = self.trained.model_copy(update=changed).read_columns
        assert read is not None
        return replace(options, columns=as_columns(read))

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
